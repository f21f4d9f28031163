//! What can go wrong, grouped by what the caller can do about it.

use std::sync::Arc;

use bytes::Bytes;

use crate::Revision;

/// Result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Failure of a store operation. Unless a variant says otherwise, nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The revision asked for is no longer kept, or a watcher fell behind what is kept: read the current state and go on
    /// from its revision.
    #[error("revision is compacted, history starts at {compacted}")]
    Compacted {
        /// Oldest revision that can still be read.
        compacted: Revision,
    },
    /// The revision asked for does not exist yet.
    #[error("revision {requested} is in the future, the current one is {current}")]
    FutureRevision {
        /// Revision of the request.
        requested: Revision,
        /// Newest revision of the store.
        current: Revision,
    },
    /// The request breaks a rule; repeating it does not help.
    #[error("invalid request: {0}")]
    Invalid(#[from] InvalidRequest),
    /// The lease or key that the request relies on does not exist, or exists already.
    #[error("{0}")]
    Precondition(#[from] Precondition),
    /// Puts are refused until keys are deleted and history is compacted; reads, deletes and compaction still work.
    #[error("no space: {used} of {quota} bytes are used")]
    NoSpace {
        /// Bytes held by keys, values and kept history.
        used: u64,
        /// Configured limit.
        quota: u64,
    },
    /// Another member has to be asked.
    #[error("not the leader{}", hint.as_deref().map(|h| format!(", ask {h}")).unwrap_or_default())]
    NotLeader {
        /// Address of the leader when it is known.
        hint: Option<String>,
    },
    /// The store cannot answer now; a write may or may not have happened. Retry later, reading first.
    #[error("store is unavailable: {reason}")]
    Unavailable {
        /// Why, for people.
        reason: String,
    },
    /// A watcher did not read fast enough and was cut; start again from the last revision it saw.
    #[error("watcher is too slow")]
    WatcherTooSlow,
    /// The disk refused a write or a sync. It may or may not have happened; all further writes are refused until the store
    /// is opened again, reads go on from the last durable revision.
    #[error("storage failed, writes are stopped: {0}")]
    Storage(#[source] Arc<std::io::Error>),
    /// Stored data does not make sense; nothing is served from it.
    #[error("stored data is corrupt: {what}")]
    Corrupt {
        /// What was found, for people.
        what: String,
    },
}

/// Which rule a request breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// A key is empty.
    #[error("key is not provided")]
    EmptyKey,
    /// A transaction changes one key twice.
    #[error("duplicate key given in txn request: {:?}", String::from_utf8_lossy(.0))]
    DuplicateKey(Bytes),
    /// Too many operations in one list of a transaction.
    #[error("too many operations in txn request: {found}, at most {limit}")]
    TooManyOps {
        /// Operations in the list.
        found: usize,
        /// Configured limit.
        limit: usize,
    },
    /// Transactions are nested too deeply.
    #[error("txn requests are nested deeper than {limit}")]
    TooDeep {
        /// Fixed limit.
        limit: usize,
    },
    /// Keys and values of the request together are too large.
    #[error("request is too large: {found} bytes, at most {limit}")]
    TooLarge {
        /// Bytes in the request.
        found: usize,
        /// Configured limit.
        limit: usize,
    },
    /// A value came with a put that keeps the value it has.
    #[error("value is provided")]
    ValueProvided,
    /// A lease came with a put that keeps the lease it has.
    #[error("lease is provided")]
    LeaseProvided,
    /// This store keeps no records beside its keys.
    #[error("this store keeps no records beside its keys")]
    NoRecords,
    /// A lease's time to live is zero or more than 9,000,000,000 seconds.
    #[error("lease time to live is out of range")]
    LeaseTtl,
}

/// What a request relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Precondition {
    /// A put that keeps value or lease needs the key to exist.
    #[error("key not found")]
    KeyNotFound,
    /// The lease never existed, expired or was revoked.
    #[error("requested lease {0} not found")]
    LeaseNotFound(i64),
    /// The identifier asked for is taken.
    #[error("lease {0} already exists")]
    LeaseExists(i64),
    /// The group has no member of this number.
    #[error("member {0:x} not found")]
    MemberNotFound(u64),
    /// The group has a member of this number, or had one.
    #[error("member {0:x} already exists")]
    MemberExists(u64),
    /// Only a learner gets a vote.
    #[error("member {0:x} is no learner")]
    NotLearner(u64),
    /// Only a learner that caught up with the leader gets a vote: wait until it has.
    #[error("the learner is not in sync with the leader")]
    LearnerBehind,
    /// The change would leave nobody with a vote.
    #[error("the group would have no voter")]
    LastVoter,
}

impl Error {
    pub(crate) fn storage(source: impl Into<std::io::Error>) -> Self {
        Self::Storage(Arc::new(source.into()))
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn closed() -> Self {
        Self::Unavailable { reason: "the store is closed".into() }
    }
}
