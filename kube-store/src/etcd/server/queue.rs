//! A queue of keys: what etcd's locks and elections are made of. Who waits has a key with a lease under the name that is waited
//! for; whose key was created first is at the head, and all others wait until the one before them is gone. Everything is done
//! in the caller's name, by the services of keys, so it is permitted to whom that is.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};

use super::convert;
use super::etcd_server::EtcdServer;
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{
    DeleteRequest, EventKind, KeyRange, Store, TxnRequest, WatchRequest, WatchResponse, WatchStream,
};
use pb::kv_server::Kv;
use pb::lease_server::Lease;

/// How long a lease lives that was not given one, in seconds, as etcd's.
const TTL: i64 = 60;

type Header = Option<pb::ResponseHeader>;

/// Somebody in whose name several things are done.
#[derive(Debug)]
pub(super) struct OnBehalf {
    server: EtcdServer,
    metadata: MetadataMap,
    extensions: Extensions,
}

/// A key in a queue.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) key: Bytes,
    /// When the key was created.
    pub(super) revision: i64,
    pub(super) lease: i64,
    pub(super) header: Header,
    /// The key, if it was there before.
    pub(super) found: Option<pb::KeyValue>,
}

/// Takes a place back unless it has been kept.
#[derive(Debug)]
pub(super) struct Withdrawal(Option<(Arc<dyn Store>, Bytes)>);

/// What all keys of a queue start with.
pub(super) fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

fn last_before(prefix: Bytes, revision: i64) -> pb::RangeRequest {
    pb::RangeRequest {
        max_create_revision: revision - 1,
        sort_order: pb::range_request::SortOrder::Descend.into(),
        ..first(prefix)
    }
}

fn first(prefix: Bytes) -> pb::RangeRequest {
    pb::RangeRequest {
        range_end: KeyRange::Prefix(prefix.clone()).end().unwrap_or(Bytes::from_static(b"\0")),
        key: prefix,
        limit: 1,
        sort_order: pb::range_request::SortOrder::Ascend.into(),
        sort_target: pb::range_request::SortTarget::Create.into(),
        ..pb::RangeRequest::default()
    }
}

fn created_at(key: Bytes, revision: i64) -> pb::Compare {
    pb::Compare {
        result: pb::compare::CompareResult::Equal.into(),
        target: pb::compare::CompareTarget::Create.into(),
        key,
        target_union: Some(pb::compare::TargetUnion::CreateRevision(revision)),
        ..pb::Compare::default()
    }
}

fn op(request: pb::request_op::Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

impl OnBehalf {
    /// Who sends `request`, and what they ask for.
    pub(super) fn of<T>(server: &EtcdServer, request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Self { server: server.clone(), metadata, extensions }, message)
    }

    fn request<M>(&self, message: M) -> Request<M> {
        Request::from_parts(self.metadata.clone(), self.extensions.clone(), message)
    }

    pub(super) async fn range(&self, range: pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        Ok(self.server.range(self.request(range)).await?.into_inner())
    }

    /// The key at the head of a queue.
    pub(super) async fn head(&self, name: &[u8]) -> Result<(Header, Option<pb::KeyValue>), Status> {
        let mut response = self.range(first(prefix(name))).await?;
        Ok((response.header, response.kvs.pop()))
    }

    pub(super) async fn delete(&self, key: Bytes) -> Result<Header, Status> {
        let request = pb::DeleteRangeRequest { key, ..pb::DeleteRangeRequest::default() };
        Ok(self.server.delete_range(self.request(request)).await?.into_inner().header)
    }

    /// Does something if `key` is the one that was created at `revision`; whether it was.
    pub(super) async fn if_created(
        &self,
        key: Bytes,
        revision: i64,
        request: pb::request_op::Request,
    ) -> Result<(Header, bool), Status> {
        let txn = pb::TxnRequest {
            compare: vec![created_at(key, revision)],
            success: vec![op(request)],
            failure: Vec::new(),
        };
        let done = self.server.txn(self.request(txn)).await?.into_inner();
        Ok((done.header, done.succeeded))
    }

    /// Takes a place in the queue of `name`, or finds the one that the lease has. Without a lease it is a new one's.
    pub(super) async fn enqueue(&self, name: &[u8], lease: i64, value: Bytes) -> Result<Place, Status> {
        let lease = match lease {
            0 => {
                let grant = pb::LeaseGrantRequest { id: 0, ttl: TTL };
                self.server.lease_grant(self.request(grant)).await?.into_inner().id
            }
            lease => lease,
        };
        let key = Bytes::from([&prefix(name)[..], format!("{lease:x}").as_bytes()].concat());
        let put = pb::PutRequest { key: key.clone(), value, lease, ..pb::PutRequest::default() };
        let get = pb::RangeRequest { key: key.clone(), ..pb::RangeRequest::default() };
        let txn = pb::TxnRequest {
            compare: vec![created_at(key.clone(), 0)],
            success: vec![op(pb::request_op::Request::RequestPut(put))],
            failure: vec![op(pb::request_op::Request::RequestRange(get))],
        };
        let done = self.server.txn(self.request(txn)).await?.into_inner();
        let found = done.responses.into_iter().find_map(|response| match response.response {
            Some(pb::response_op::Response::ResponseRange(mut range)) => range.kvs.pop(),
            _ => None,
        });
        let now = done.header.as_ref().map_or(0, |header| header.revision);
        let revision = found.as_ref().map_or(now, |kv| kv.create_revision);
        Ok(Place { key, revision, lease, header: done.header, found })
    }

    /// Waits until all keys of the queue that were created before `revision` are gone.
    pub(super) async fn wait_turn(&self, name: &[u8], revision: i64) -> Result<Header, Status> {
        loop {
            let mut before = self.range(last_before(prefix(name), revision)).await?;
            let Some(kv) = before.kvs.pop() else { return Ok(before.header) };
            self.deleted(kv.key, before.header.map_or(0, |header| header.revision)).await?;
        }
    }

    /// Waits until a key that was there at `revision` is gone.
    async fn deleted(&self, key: Bytes, revision: i64) -> Result<(), Status> {
        let mut changes = self.changes(WatchRequest::key(key), revision).await?;
        loop {
            let change = self.next(&mut changes).await?;
            if change.events.iter().any(|event| event.kind == EventKind::Delete) {
                return Ok(());
            }
        }
    }

    /// What comes after `revision`. Who may read the keys has been asked before.
    pub(super) async fn changes(&self, watch: WatchRequest, revision: i64) -> Result<WatchStream, Status> {
        self.server.store.watch(watch.from_revision(revision + 1)).await.map_err(convert::status)
    }

    pub(super) async fn next(&self, changes: &mut WatchStream) -> Result<WatchResponse, Status> {
        tokio::select! {
            change = changes.next() => match change {
                Some(change) => change.map_err(convert::status),
                None => Err(Status::unavailable("etcdserver: server stopped")),
            },
            () = self.server.shutdown.cancelled() => Err(Status::unavailable("etcdserver: server stopped")),
        }
    }

    pub(super) fn header(&self, revision: i64) -> Header {
        self.server.group.stamp().header(revision)
    }

    /// Gives a place up when the caller goes away while it waits.
    pub(super) fn withdrawal(&self, place: &Place) -> Withdrawal {
        Withdrawal(Some((self.server.store.clone(), place.key.clone())))
    }
}

impl Withdrawal {
    /// The place is kept.
    pub(super) fn cancel(mut self) {
        self.0 = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        let (Some((store, key)), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        // The lease ends it otherwise.
        runtime.spawn(async move {
            let request = TxnRequest::of([DeleteRequest::key(key).into()]);
            if let Err(error) = store.txn(request).await {
                tracing::warn!(%error, "a place in a queue was not given up");
            }
        });
    }
}
