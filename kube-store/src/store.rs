//! The seam.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Error, InvalidRequest, LeaseRequest, LeaseResponse, RangeRequest, RangeResponse, Result, Revision,
    TxnRequest, TxnResponse, WatchRequest, WatchStream,
};

/// A versioned, watchable key-value store.
///
/// - **One order.** Every transaction that changes something gets the next revision; there are no gaps. Operations are
///   linearizable: what one call has answered, every later call sees.
/// - **Durable.** An answered write survives a crash, if the store keeps anything at all. Nothing is readable or reported
///   to a watcher before it is durable.
/// - **Watches** report each matching change exactly once, in order of revisions, all events of a revision together.
/// - **Cancelling** a call that writes (dropping its future) leaves open whether the write happens; a call that reads has
///   no effect.
#[async_trait]
pub trait Store: Send + Sync + Debug + 'static {
    /// Reads keys, now or at an earlier revision that is not compacted.
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse>;

    /// Does a transaction.
    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse>;

    /// Starts a watch; it is established when this returns, and misses nothing from then on (or from its start revision).
    /// [`Error::Compacted`] when the start revision is no longer kept.
    async fn watch(&self, request: WatchRequest) -> Result<WatchStream>;

    /// Forgets what was changed again before or at `revision`: reads and watches from before it get
    /// [`Error::Compacted`]. A revision that is compacted already gives the same error.
    async fn compact(&self, revision: Revision) -> Result<()>;

    /// Works on leases.
    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse>;

    /// Writes, or with `None` deletes, records beside the keys, together and durably; answers all records after it. Records
    /// have no revisions, and neither ranges nor watches see them: they are for what a server on the store keeps for itself.
    /// A store that keeps none refuses to write any and answers none.
    async fn records(&self, changes: Vec<(Bytes, Option<Bytes>)>) -> Result<BTreeMap<Bytes, Bytes>> {
        if changes.is_empty() { Ok(BTreeMap::new()) } else { Err(InvalidRequest::NoRecords.into()) }
    }

    /// The same, if `expected` is the value of the record of that name (`None`: there is none); answers whether it was. Writers
    /// that do not know of each other use it, as servers of the members of one group.
    async fn swap_records(
        &self,
        expected: (Bytes, Option<Bytes>),
        changes: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<bool> {
        let _ = (expected, changes);
        Err(InvalidRequest::NoRecords.into())
    }

    /// Rises when records change, whoever changed them: who keeps a copy looks at it to learn that it is old.
    fn records_version(&self) -> u64 {
        0
    }

    /// Which change of its transaction last wrote a key, counted from 0, for the keys at `revision` where it was not the
    /// first. `None` from a store that does not know. Only a server of the etcd API has a use for it: that number is a part of
    /// what etcd hashes and writes into snapshots.
    async fn places(&self, _revision: Revision) -> Result<Option<BTreeMap<Bytes, u32>>> {
        Ok(None)
    }

    /// Gives back space on disk that is not needed any more; everything else goes on meanwhile. Does nothing where there is none to
    /// give back.
    async fn defragment(&self) -> Result<()> {
        Ok(())
    }

    /// Tells how the store is.
    async fn status(&self) -> Result<StoreStatus>;
}

/// How a store is.
#[derive(Debug, Clone, Default)]
pub struct StoreStatus {
    /// Newest revision.
    pub revision: Revision,
    /// Oldest revision that can be read, 0 when nothing was ever compacted or it is not known.
    pub compacted: Revision,
    /// Number of keys.
    pub keys: u64,
    /// Bytes of keys and values including kept history, with the memory their bookkeeping takes.
    pub bytes: u64,
    /// Bytes on disk, 0 for a store without one.
    pub bytes_on_disk: u64,
    /// Number of watchers.
    pub watchers: u64,
    /// Number of leases.
    pub leases: u64,
    /// Why writes are refused, if they are.
    pub failure: Option<Error>,
}
