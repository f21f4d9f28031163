//! Conveniences over the seam.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Compare, DeleteRequest, DeleteResponse, Error, KeyRange, KeyValue, LeaseRequest, LeaseResponse, Op,
    OpResult, PutRequest, PutResponse, RangeRequest, RangeResponse, Result, Revision, Store, StoreStatus,
    TxnRequest, TxnResponse, WatchRequest, WatchStream,
};

/// Outcome of a write that expects something of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// Written at this revision.
    Done(Revision),
    /// The key was not as expected; this is what it is, read in the same transaction.
    Conflict(Option<KeyValue>),
}

/// What most callers want to do with a [`Store`], in one call.
#[async_trait]
pub trait StoreExt: Store {
    /// Reads one key.
    async fn get(&self, key: impl Into<Bytes> + Send) -> Result<Option<KeyValue>> {
        let request = RangeRequest::key(key);
        Ok(self.range(request).await?.kvs.pop())
    }

    /// Reads all keys that start with `prefix`.
    async fn list(&self, prefix: impl Into<Bytes> + Send) -> Result<RangeResponse> {
        let request = RangeRequest::prefix(prefix);
        self.range(request).await
    }

    /// Reads up to `limit` keys that start with `prefix`, after the key `after`, at `revision` (`None`: the current one; give
    /// the first page's revision for the following pages).
    async fn list_page(
        &self,
        prefix: impl Into<Bytes> + Send,
        after: Option<Bytes>,
        limit: usize,
        revision: Option<Revision>,
    ) -> Result<RangeResponse> {
        let prefix = KeyRange::Prefix(prefix.into());
        let range = match (after, prefix.end()) {
            (None, _) => prefix,
            (Some(after), end) => {
                let start = Bytes::from([after.as_ref(), &[0]].concat());
                end.map_or_else(|| KeyRange::From(start.clone()), |end| KeyRange::Range(start.clone(), end))
            }
        };
        self.range(RangeRequest { revision, limit, ..RangeRequest::new(range) }).await
    }

    /// Writes one key.
    async fn put(&self, key: impl Into<Bytes> + Send, value: impl Into<Bytes> + Send) -> Result<Revision> {
        let put = PutRequest::new(key, value);
        Ok(self.put_with(put).await?.revision)
    }

    /// Writes one key, with all that a put can ask for.
    async fn put_with(&self, put: PutRequest) -> Result<PutResponse> {
        match single(self.txn(TxnRequest::of([Op::Put(put)])).await?)? {
            OpResult::Put(response) => Ok(response),
            _ => Err(mismatch()),
        }
    }

    /// Writes a key only if it was last changed at `expected` (0: it does not exist).
    async fn put_if(&self, put: PutRequest, expected: Revision) -> Result<Swap> {
        let key = put.key.clone();
        swap(self, key, expected, put.into()).await
    }

    /// Writes a key only if it does not exist.
    async fn create_if_absent(
        &self,
        key: impl Into<Bytes> + Send,
        value: impl Into<Bytes> + Send,
    ) -> Result<Swap> {
        let put = PutRequest::new(key, value);
        self.put_if(put, 0).await
    }

    /// Deletes one key; says how many were deleted.
    async fn delete(&self, key: impl Into<Bytes> + Send) -> Result<DeleteResponse> {
        let delete = DeleteRequest::key(key);
        self.delete_with(delete).await
    }

    /// Deletes keys, with all that a delete can ask for.
    async fn delete_with(&self, delete: DeleteRequest) -> Result<DeleteResponse> {
        match single(self.txn(TxnRequest::of([Op::Delete(delete)])).await?)? {
            OpResult::Delete(response) => Ok(response),
            _ => Err(mismatch()),
        }
    }

    /// Deletes a key only if it was last changed at `expected`.
    async fn delete_if(&self, key: impl Into<Bytes> + Send, expected: Revision) -> Result<Swap> {
        let key = key.into();
        swap(self, key.clone(), expected, DeleteRequest::key(key).into()).await
    }

    /// The store's revision.
    async fn revision(&self) -> Result<Revision> {
        Ok(self.status().await?.revision)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

async fn swap<S: Store + ?Sized>(store: &S, key: Bytes, expected: Revision, op: Op) -> Result<Swap> {
    let txn = TxnRequest::of([op])
        .when(Compare::mod_revision_eq(key.clone(), expected))
        .or_else(RangeRequest::key(key));
    let response = store.txn(txn).await?;
    let revision = response.revision;
    match (response.succeeded, single(response)?) {
        (true, _) => Ok(Swap::Done(revision)),
        (false, OpResult::Range(mut range)) => Ok(Swap::Conflict(range.kvs.pop())),
        _ => Err(mismatch()),
    }
}

fn single(mut response: TxnResponse) -> Result<OpResult> {
    response.results.pop().ok_or_else(mismatch)
}

fn mismatch() -> Error {
    Error::corrupt("the store answered another operation than was asked")
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        (**self).range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        (**self).txn(request).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        (**self).watch(request).await
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        (**self).compact(revision).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        (**self).lease(request).await
    }

    async fn records(&self, changes: Vec<(Bytes, Option<Bytes>)>) -> Result<BTreeMap<Bytes, Bytes>> {
        (**self).records(changes).await
    }

    async fn swap_records(
        &self,
        expected: (Bytes, Option<Bytes>),
        changes: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<bool> {
        (**self).swap_records(expected, changes).await
    }

    fn records_version(&self) -> u64 {
        (**self).records_version()
    }

    async fn places(&self, revision: Revision) -> Result<Option<BTreeMap<Bytes, u32>>> {
        (**self).places(revision).await
    }

    async fn defragment(&self) -> Result<()> {
        (**self).defragment().await
    }

    async fn status(&self) -> Result<StoreStatus> {
        (**self).status().await
    }
}
