//! Leases and the keys bound to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Change, State};
use crate::{DeleteRequest, InvalidRequest, KeyRange, LeaseResponse, Op, Precondition, Result, TxnRequest};

/// Longest time to live, as etcd's.
const MAX_TTL: Duration = Duration::from_secs(9_000_000_000);

/// What a lease is given at least when another member begins to lead; as much as a checkpoint of etcd's may be old.
#[cfg(feature = "raft")]
const GRACE: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    /// What was left of it when that was last noted, if that was less.
    left: Option<Duration>,
    deadline: Instant,
    keys: BTreeSet<Bytes>,
}

/// All leases, by identifier and by deadline.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<i64, Lease>,
    by_deadline: BTreeSet<(Instant, i64)>,
}

impl Leases {
    pub(super) fn exists(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn insert(&mut self, id: i64, ttl: Duration, left: Option<Duration>, now: Instant) {
        let deadline = now + left.unwrap_or(ttl);
        self.by_deadline.insert((deadline, id));
        self.by_id.insert(id, Lease { ttl, left, deadline, keys: BTreeSet::new() });
    }

    /// Identifiers, times to live and what was left of them.
    #[cfg(feature = "raft")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, Duration, Option<Duration>)> {
        self.by_id.iter().map(|(id, lease)| (*id, lease.ttl, lease.left))
    }

    /// Moves the end of a lease.
    fn end_at(&mut self, id: i64, deadline: impl FnOnce(&Lease) -> Instant) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            self.by_deadline.remove(&(lease.deadline, id));
            lease.deadline = deadline(lease);
            self.by_deadline.insert((lease.deadline, id));
        }
    }

    fn remove(&mut self, id: i64) {
        if let Some(lease) = self.by_id.remove(&id) {
            self.by_deadline.remove(&(lease.deadline, id));
        }
    }

    /// Moves a key from one lease to another; 0 is none.
    pub(super) fn rebind(&mut self, key: &Bytes, from: i64, to: i64) {
        if from == to {
            return;
        }
        if let Some(lease) = self.by_id.get_mut(&from) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.by_id.get_mut(&to) {
            lease.keys.insert(key.clone());
        }
    }
}

impl State {
    pub(crate) fn lease_count(&self) -> u64 {
        self.leases.by_id.len() as u64
    }

    pub(crate) fn grant(&mut self, id: i64, ttl: Duration, now: Instant) -> Result<LeaseResponse> {
        if ttl.is_zero() || ttl > MAX_TTL {
            return Err(InvalidRequest::LeaseTtl.into());
        }
        if self.leases.exists(id) {
            return Err(Precondition::LeaseExists(id).into());
        }
        self.leases.insert(id, ttl, None, now);
        self.note(Change::Grant { id, ttl, left: None });
        Ok(LeaseResponse::Granted { id, ttl })
    }

    /// Whether an identifier can be granted.
    pub(crate) fn is_free_lease(&self, id: i64) -> bool {
        id > 0 && !self.leases.exists(id)
    }

    pub(crate) fn revoke(&mut self, id: i64) -> Result<LeaseResponse> {
        let lease = self.leases.by_id.get(&id).ok_or(Precondition::LeaseNotFound(id))?;
        let delete = |key: &Bytes| Op::Delete(DeleteRequest::new(KeyRange::Key(key.clone())));
        let txn = TxnRequest::of(lease.keys.iter().map(delete));
        let revision = self.apply(txn)?.revision;
        self.leases.remove(id);
        self.note(Change::Revoke { id });
        Ok(LeaseResponse::Revoked { revision })
    }

    pub(crate) fn keep_alive(&mut self, id: i64, now: Instant) -> Result<LeaseResponse> {
        let lease = self.leases.by_id.get_mut(&id).ok_or(Precondition::LeaseNotFound(id))?;
        let (ttl, had_less) = (lease.ttl, lease.left.take().is_some());
        self.extend_lease(id, now);
        if had_less {
            self.note(Change::Grant { id, ttl, left: None });
        }
        Ok(LeaseResponse::KeptAlive { id, ttl })
    }

    /// Starts a lease's time to live again, without anything that lasts.
    pub(crate) fn extend_lease(&mut self, id: i64, now: Instant) {
        self.leases.end_at(id, |lease| now + lease.ttl);
    }

    /// Whether it is noted of a lease that less is left of it than it was granted.
    pub(crate) fn has_less_left(&self, id: i64) -> bool {
        self.leases.by_id.get(&id).is_some_and(|lease| lease.left.is_some())
    }

    /// What is left of each lease that lives longer than `interval`.
    pub(crate) fn long_leases(
        &self,
        interval: Duration,
        now: Instant,
    ) -> impl Iterator<Item = (i64, Duration)> {
        let long = self.leases.by_id.iter().filter(move |(_, lease)| lease.ttl > interval);
        long.map(move |(id, lease)| (*id, lease.deadline.saturating_duration_since(now)))
    }

    /// Notes what is left of leases, so that a member that did not see how they went does not let them live longer.
    pub(crate) fn note_left(&mut self, all: &[(i64, Duration)], now: Instant) {
        for (id, left) in all {
            let Some(lease) = self.leases.by_id.get_mut(id) else { continue };
            let (ttl, left) = (lease.ttl, Some((*left).min(lease.ttl)));
            lease.left = left;
            self.leases.end_at(*id, |lease| lease.deadline.min(now + lease.left.unwrap_or(lease.ttl)));
            self.note(Change::Grant { id: *id, ttl, left });
        }
    }

    pub(crate) fn time_to_live(&self, id: i64, now: Instant) -> Result<LeaseResponse> {
        let lease = self.leases.by_id.get(&id).ok_or(Precondition::LeaseNotFound(id))?;
        let remaining = lease.deadline.saturating_duration_since(now);
        let keys = lease.keys.iter().cloned().collect();
        Ok(LeaseResponse::TimeToLive { id, granted: lease.ttl, remaining, keys })
    }

    pub(crate) fn lease_ids(&self) -> LeaseResponse {
        LeaseResponse::Leases(self.leases.by_deadline.iter().map(|(_, id)| *id).collect())
    }

    /// When the next lease ends, and which.
    pub(crate) fn next_lease_end(&self) -> Option<(Instant, i64)> {
        self.leases.by_deadline.first().copied()
    }

    /// Leases whose time is over, the longest over first.
    #[cfg(feature = "raft")]
    pub(crate) fn leases_due(&self, now: Instant) -> impl Iterator<Item = i64> {
        self.leases.by_deadline.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| *id)
    }

    /// Lets every lease live for some time from now, at most as long as it was granted: who kept it alive may have found no leader
    /// for a while. What a member has heard of it before counts too, for all of them hear of every renewal.
    #[cfg(feature = "raft")]
    pub(crate) fn promote_leases(&mut self, now: Instant) {
        let leases = &mut self.leases;
        leases.by_deadline.clear();
        for (id, lease) in &mut leases.by_id {
            lease.deadline = lease.deadline.max(now + lease.ttl.min(GRACE));
            leases.by_deadline.insert((lease.deadline, *id));
        }
    }
}
