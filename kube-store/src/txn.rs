//! Transactions: compare, then do one list of operations or the other, all in one revision.

use bytes::Bytes;

use crate::{KeyRange, KeyValue, RangeRequest, RangeResponse, Revision};

/// If all of `compares` hold, does `success`, else `failure`: atomically, in one revision however many operations change
/// something. A key may be changed only once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnRequest {
    /// Conditions on the state before the transaction; none means success.
    pub compares: Vec<Compare>,
    /// Done in order when all conditions hold.
    pub success: Vec<Op>,
    /// Done in order when one does not.
    pub failure: Vec<Op>,
}

/// One operation of a transaction. A range sees the puts and deletes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Read.
    Range(RangeRequest),
    /// Write a key.
    Put(PutRequest),
    /// Delete keys.
    Delete(DeleteRequest),
    /// A transaction inside; its conditions too look at the state before the whole transaction.
    Txn(Box<TxnRequest>),
}

/// Writes one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutRequest {
    /// The key, not empty.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Lease to bind the key to, 0 for none. A put without one unbinds the key.
    pub lease: i64,
    /// Answer the key as it was before.
    pub prev_kv: bool,
    /// Keep the value that the key has; it must exist.
    pub ignore_value: bool,
    /// Keep the lease that the key has; it must exist.
    pub ignore_lease: bool,
}

/// Deletes keys; deleting what does not exist is fine and makes no revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Which keys.
    pub range: KeyRange,
    /// Answer the keys as they were before.
    pub prev_kv: bool,
}

/// A condition on every key of a set. On a set without keys it looks at a key of version, revisions and lease 0; a
/// condition on the value then does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// Which keys.
    pub range: KeyRange,
    /// What to compare with.
    pub target: CompareTarget,
    /// How what is stored has to relate to it.
    pub op: CompareOp,
}

/// What a condition looks at, and the value to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompareTarget {
    /// The value.
    Value(Bytes),
    /// Puts since creation.
    Version(i64),
    /// Revision of creation.
    CreateRevision(Revision),
    /// Revision of the last change.
    ModRevision(Revision),
    /// The lease.
    Lease(i64),
}

/// How what is stored relates to what is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// Stored is greater.
    Greater,
    /// Stored is less.
    Less,
}

/// Answer to a [`TxnRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnResponse {
    /// Revision of the transaction, or the current one when it changed nothing.
    pub revision: Revision,
    /// Whether the conditions held.
    pub succeeded: bool,
    /// One result per operation of the list that was done.
    pub results: Vec<OpResult>,
}

/// Result of one [`Op`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResult {
    /// Of a range.
    Range(RangeResponse),
    /// Of a put.
    Put(PutResponse),
    /// Of a delete.
    Delete(DeleteResponse),
    /// Of a transaction inside.
    Txn(TxnResponse),
}

/// Result of a put.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutResponse {
    /// Revision of the transaction.
    pub revision: Revision,
    /// The key before, if it existed and was asked for.
    pub prev: Option<KeyValue>,
}

/// Result of a delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteResponse {
    /// Revision of the transaction, or the one before when nothing is changed up to here.
    pub revision: Revision,
    /// Number of keys deleted.
    pub deleted: u64,
    /// The keys before, if asked for.
    pub prev: Vec<KeyValue>,
}

impl TxnRequest {
    /// The operations without conditions.
    pub fn of(ops: impl IntoIterator<Item = Op>) -> Self {
        Self { success: ops.into_iter().collect(), ..Self::default() }
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds an operation for when the conditions hold.
    #[must_use]
    pub fn and_then(mut self, op: impl Into<Op>) -> Self {
        self.success.push(op.into());
        self
    }

    /// Adds an operation for when they do not.
    #[must_use]
    pub fn or_else(mut self, op: impl Into<Op>) -> Self {
        self.failure.push(op.into());
        self
    }

    /// Whether no branch can change anything.
    pub fn is_read_only(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| match op {
            Op::Range(_) => true,
            Op::Put(_) | Op::Delete(_) => false,
            Op::Txn(txn) => txn.is_read_only(),
        })
    }
}

impl PutRequest {
    /// `key` becomes `value`.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }

    /// Binds the key to a lease.
    #[must_use]
    pub fn with_lease(mut self, lease: i64) -> Self {
        self.lease = lease;
        self
    }

    /// Asks for the key as it was.
    #[must_use]
    pub fn with_prev(mut self) -> Self {
        self.prev_kv = true;
        self
    }
}

impl DeleteRequest {
    /// Deletes the keys of `range`.
    pub fn new(range: KeyRange) -> Self {
        Self { range, prev_kv: false }
    }

    /// Deletes one key.
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self::new(KeyRange::Key(key.into()))
    }

    /// Deletes all keys that start with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        Self::new(KeyRange::Prefix(prefix.into()))
    }

    /// Asks for the keys as they were.
    #[must_use]
    pub fn with_prev(mut self) -> Self {
        self.prev_kv = true;
        self
    }
}

impl Compare {
    /// Holds when `key` was last changed at `revision`; 0 means that it does not exist.
    pub fn mod_revision_eq(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self::key(key, CompareTarget::ModRevision(revision), CompareOp::Equal)
    }

    /// Holds when `key` does not exist.
    pub fn absent(key: impl Into<Bytes>) -> Self {
        Self::mod_revision_eq(key, 0)
    }

    /// Holds when `key` exists.
    pub fn exists(key: impl Into<Bytes>) -> Self {
        Self::key(key, CompareTarget::ModRevision(0), CompareOp::Greater)
    }

    /// Holds when `key` has this value.
    pub fn value_eq(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::key(key, CompareTarget::Value(value.into()), CompareOp::Equal)
    }

    /// A condition on one key.
    pub fn key(key: impl Into<Bytes>, target: CompareTarget, op: CompareOp) -> Self {
        Self { range: KeyRange::Key(key.into()), target, op }
    }

    /// Whether the condition holds for `kv`; `None` is a key that does not exist.
    pub(crate) fn holds(&self, kv: Option<&KeyValue>) -> bool {
        let number = |f: fn(&KeyValue) -> i64| kv.map_or(0, f);
        let ordering = match &self.target {
            CompareTarget::Value(given) => match kv {
                Some(kv) => kv.value.cmp(given),
                None => return false,
            },
            CompareTarget::Version(given) => number(|kv| kv.version).cmp(given),
            CompareTarget::CreateRevision(given) => number(|kv| kv.create_revision).cmp(given),
            CompareTarget::ModRevision(given) => number(|kv| kv.mod_revision).cmp(given),
            CompareTarget::Lease(given) => number(|kv| kv.lease).cmp(given),
        };
        match self.op {
            CompareOp::Equal => ordering.is_eq(),
            CompareOp::NotEqual => ordering.is_ne(),
            CompareOp::Greater => ordering.is_gt(),
            CompareOp::Less => ordering.is_lt(),
        }
    }
}

impl From<PutRequest> for Op {
    fn from(put: PutRequest) -> Self {
        Self::Put(put)
    }
}

impl From<DeleteRequest> for Op {
    fn from(delete: DeleteRequest) -> Self {
        Self::Delete(delete)
    }
}

impl From<RangeRequest> for Op {
    fn from(range: RangeRequest) -> Self {
        Self::Range(range)
    }
}

impl From<TxnRequest> for Op {
    fn from(txn: TxnRequest) -> Self {
        Self::Txn(Box::new(txn))
    }
}
