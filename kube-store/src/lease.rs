//! Leases: keys bound to one disappear when it is not kept alive.

use std::time::Duration;

use bytes::Bytes;

/// An operation on leases. Lifetimes are whole seconds on the wire of etcd; other fractions are kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseRequest {
    /// Makes a lease.
    Grant {
        /// Its identifier, 0 to let the store choose.
        id: i64,
        /// Time to live, from now and from each keep-alive.
        ttl: Duration,
    },
    /// Ends a lease and deletes its keys, in one revision.
    Revoke {
        /// Its identifier.
        id: i64,
    },
    /// Starts its time to live again.
    KeepAlive {
        /// Its identifier.
        id: i64,
    },
    /// Asks for the remaining time.
    TimeToLive {
        /// Its identifier.
        id: i64,
    },
    /// Asks for all leases.
    List,
}

/// Answer to a [`LeaseRequest`], of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseResponse {
    /// The lease exists, durably.
    Granted {
        /// Its identifier.
        id: i64,
        /// Its time to live.
        ttl: Duration,
    },
    /// The lease and its keys are gone.
    Revoked {
        /// The store's revision after it.
        revision: i64,
    },
    /// The lease lives on.
    KeptAlive {
        /// Its identifier.
        id: i64,
        /// Its time to live, from now.
        ttl: Duration,
    },
    /// How long the lease will live.
    TimeToLive {
        /// Its identifier.
        id: i64,
        /// Time to live it was granted.
        granted: Duration,
        /// What is left of it.
        remaining: Duration,
        /// Keys bound to it, in order.
        keys: Vec<Bytes>,
    },
    /// Identifiers of all leases, those that end sooner first.
    Leases(Vec<i64>),
}
