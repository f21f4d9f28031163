//! Leases and the keys bound to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Change, State};
use crate::{DeleteRequest, InvalidRequest, KeyRange, LeaseResponse, Op, Precondition, Result, TxnRequest};

/// Longest time to live, as etcd's.
const MAX_TTL: Duration = Duration::from_secs(9_000_000_000);

#[derive(Debug)]
struct Lease {
    ttl: Duration,
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

    pub(super) fn insert(&mut self, id: i64, ttl: Duration, now: Instant) {
        let deadline = now + ttl;
        self.by_deadline.insert((deadline, id));
        self.by_id.insert(id, Lease { ttl, deadline, keys: BTreeSet::new() });
    }

    /// Identifiers and times to live.
    #[cfg(feature = "raft")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, Duration)> {
        self.by_id.iter().map(|(id, lease)| (*id, lease.ttl))
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
        self.leases.insert(id, ttl, now);
        self.note(Change::Grant { id, ttl });
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
        self.leases.by_deadline.remove(&(lease.deadline, id));
        lease.deadline = now + lease.ttl;
        self.leases.by_deadline.insert((lease.deadline, id));
        Ok(LeaseResponse::KeptAlive { id, ttl: lease.ttl })
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

    /// Starts every lease's time to live again: a member that begins to lead does not know what the one before it heard.
    #[cfg(feature = "raft")]
    pub(crate) fn promote_leases(&mut self, now: Instant) {
        let leases = &mut self.leases;
        leases.by_deadline.clear();
        for (id, lease) in &mut leases.by_id {
            lease.deadline = now + lease.ttl;
            leases.by_deadline.insert((lease.deadline, *id));
        }
    }
}
