//! What `/metrics` tells, by etcd's names.

mod calls;
mod page;
mod process;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) use self::calls::{Calls, Flow, Running, code_of};
use crate::measure::{Counter, Gauge, Histogram};
use crate::{Error, OpResult, RangeResponse, TxnResponse};

/// What the server counts.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) calls: Calls,
    /// Bytes on connections of clients.
    pub(super) traffic: Arc<Traffic>,
    pub(super) puts: Counter,
    pub(super) deletes: Counter,
    pub(super) ranges: Counter,
    pub(super) txns: Counter,
    /// Writes that are under way, those that failed as a group fails, and those that took long.
    pub(super) pending: Gauge,
    pub(super) failed: Counter,
    pub(super) slow: Counter,
    pub(super) reads_failed: Counter,
    pub(super) leases_granted: Counter,
    pub(super) leases_renewed: Counter,
    pub(super) leases_revoked: Counter,
    pub(super) lease_ttls: Histogram,
    pub(super) watch_streams: Gauge,
    pub(super) watchers: Gauge,
    /// Watchers that have yet to read what is not new.
    pub(super) slow_watchers: Gauge,
    pub(super) events: Counter,
    pub(super) leader_changes: Counter,
    pub(super) promoted: Counter,
    pub(super) healthy: Counter,
    pub(super) unhealthy: Counter,
    /// How long compactions took that were asked for, in milliseconds, and when the last one was, in seconds of Unix.
    pub(super) compactions: Histogram,
    pub(super) compacted_at: Gauge,
    pub(super) snapshots: Histogram,
    pub(super) defragmentations: Histogram,
    pub(super) defragmenting: Gauge,
    pub(super) hashes: Histogram,
    pub(super) revision_hashes: Histogram,
}

/// Bytes that came and went.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

impl Metrics {
    /// Counts from nothing; `extensive` as well how long calls take.
    pub(super) fn new(extensive: bool) -> Self {
        Self {
            calls: Calls::new(extensive),
            traffic: Arc::default(),
            puts: Counter::default(),
            deletes: Counter::default(),
            ranges: Counter::default(),
            txns: Counter::default(),
            pending: Gauge::default(),
            failed: Counter::default(),
            slow: Counter::default(),
            reads_failed: Counter::default(),
            leases_granted: Counter::default(),
            leases_renewed: Counter::default(),
            leases_revoked: Counter::default(),
            lease_ttls: Histogram::doubling(1.0, 24),
            watch_streams: Gauge::default(),
            watchers: Gauge::default(),
            slow_watchers: Gauge::default(),
            events: Counter::default(),
            leader_changes: Counter::default(),
            promoted: Counter::default(),
            healthy: Counter::default(),
            unhealthy: Counter::default(),
            compactions: Histogram::doubling(100.0, 14),
            compacted_at: Gauge::default(),
            snapshots: Histogram::doubling(0.01, 17),
            defragmentations: Histogram::doubling(0.1, 13),
            defragmenting: Gauge::default(),
            hashes: Histogram::doubling(0.01, 15),
            revision_hashes: Histogram::doubling(0.01, 15),
        }
    }

    /// Notes a read that has ended, for which a group had to agree unless it was `serializable`.
    pub(super) fn read(&self, done: &Result<RangeResponse, Error>, serializable: bool) {
        match done {
            Ok(_) => self.ranges.add(1),
            Err(Error::Unavailable { .. }) if !serializable => self.reads_failed.add(1),
            Err(_) => {}
        }
    }

    /// Notes a write that has ended.
    pub(super) fn wrote(&self, done: &Result<TxnResponse, Error>, took: Duration, limit: Duration) {
        if took > limit {
            self.slow.add(1);
        }
        match done {
            Ok(response) => self.count(response),
            Err(Error::Unavailable { .. }) => self.failed.add(1),
            Err(_) => {}
        }
    }

    /// Notes a compaction that was asked for and is done.
    pub(super) fn compacted(&self, took: Duration, at: SystemTime) {
        self.compactions.note_number(u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
        let at = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.compacted_at.set(i64::try_from(at).unwrap_or(i64::MAX));
    }

    /// Counts what a transaction did, with those inside; one of several operations counts as such, as etcd has it.
    fn count(&self, response: &TxnResponse) {
        let mut done = Done::default();
        done.add(&response.results);
        for (counter, amount) in
            [(&self.puts, done.puts), (&self.deletes, done.deletes), (&self.ranges, done.ranges)]
        {
            if amount > 0 {
                counter.add(amount);
            }
        }
        if done.puts + done.deletes + done.ranges > 1 {
            self.txns.add(1);
        }
    }
}

/// How many operations a transaction did.
#[derive(Default)]
struct Done {
    puts: u64,
    deletes: u64,
    ranges: u64,
}

impl Done {
    fn add(&mut self, results: &[OpResult]) {
        for result in results {
            match result {
                OpResult::Put(_) => self.puts += 1,
                OpResult::Delete(_) => self.deletes += 1,
                OpResult::Range(_) => self.ranges += 1,
                OpResult::Txn(inner) => self.add(&inner.results),
            }
        }
    }
}

/// Counts one more for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    pub(super) fn in_gauge(gauge: &'a Gauge) -> Self {
        gauge.add(1);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}
