//! The service of keys: a translation there and back.

use tokio::time::Instant;
use tonic::{Code, Request, Response, Status, async_trait};

use super::auth::{Guard, Needs};
use super::etcd_server::{Answer, EtcdServer, mismatch, not_for_learners};
use super::metrics::Counted;
use super::{check, convert, watch};
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{Error, LeaseRequest, Op, OpResult, Precondition, TxnRequest, TxnResponse};

impl EtcdServer {
    /// Does a transaction that may put something, unless there is no space for it.
    async fn write(&self, request: TxnRequest, puts: bool) -> Result<TxnResponse, Status> {
        self.alarms.check(puts).await?;
        let begun = Instant::now();
        let pending = Counted::in_gauge(&self.metrics.pending);
        let done = self.store.txn(request).await;
        drop(pending);
        self.metrics.wrote(&done, begun.elapsed(), self.config.slow);
        if let Err(Error::NoSpace { .. }) = done {
            self.alarms.no_space().await?;
        }
        done.map_err(convert::status)
    }

    async fn op(&self, op: Op) -> Result<OpResult, Status> {
        let puts = matches!(op, Op::Put(_));
        let mut response = self.write(TxnRequest::of([op]), puts).await?;
        response.results.pop().ok_or_else(|| Status::internal("the store answered nothing"))
    }
}

impl EtcdServer {
    /// Where both the key and the lease are missing, etcd's put names the lease; its transaction, as our store, the key.
    async fn why_not_put(&self, lease: i64, refused: Status) -> Status {
        if lease == 0 || refused.code() != Code::InvalidArgument {
            return refused;
        }
        match self.store.lease(LeaseRequest::TimeToLive { id: lease }).await {
            Err(error @ Error::Precondition(Precondition::LeaseNotFound(_))) => convert::status(error),
            _ => refused,
        }
    }
}

/// Whether any list of a transaction has a put.
fn has_put(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|op| match op {
        Op::Put(_) => true,
        Op::Txn(txn) => has_put(txn),
        Op::Range(_) | Op::Delete(_) => false,
    })
}

#[async_trait]
impl pb::kv_server::Kv for EtcdServer {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Answer<pb::RangeResponse> {
        let caller = self.caller(&request).await;
        let request = request.into_inner();
        check::range(&request)?;
        if !request.serializable && self.group.is_learner() {
            return Err(not_for_learners());
        }
        let caller = caller?;
        if !caller.is_free() {
            self.auth.require(&caller, Needs::of_range(&request)).await?;
        }
        self.alarms.check(false).await?;
        let serializable = request.serializable;
        let request = convert::range_request(request);
        let response = match serializable {
            true => self.group.range_here(&*self.store, request).await,
            false => self.store.range(request).await,
        };
        self.metrics.read(&response, serializable);
        let response = response.map_err(convert::status)?;
        Ok(Response::new(convert::range_response(self.group.stamp(), response)))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Answer<pb::PutResponse> {
        let caller = self.caller(&request).await;
        let request = request.into_inner();
        check::put(&request)?;
        let caller = caller?;
        if !caller.is_free() {
            self.auth.require(&caller, Needs::of_put(&request)).await?;
        }
        let lease = request.lease;
        match self.op(convert::put_request(request).into()).await {
            Ok(OpResult::Put(put)) => Ok(Response::new(convert::put_response(self.group.stamp(), put))),
            Ok(_) => Err(mismatch()),
            Err(refused) => Err(self.why_not_put(lease, refused).await),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Answer<pb::DeleteRangeResponse> {
        let caller = self.caller(&request).await;
        let request = request.into_inner();
        check::delete(&request)?;
        let caller = caller?;
        if !caller.is_free() {
            self.auth.require(&caller, Needs::of_delete(&request)).await?;
        }
        match self.op(convert::delete_request(request).into()).await? {
            OpResult::Delete(delete) => {
                Ok(Response::new(convert::delete_response(self.group.stamp(), delete)))
            }
            _ => Err(mismatch()),
        }
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Answer<pb::TxnResponse> {
        let caller = self.caller(&request).await;
        let request = request.into_inner();
        check::txn(&request, self.config.max_txn_ops)?;
        let caller = caller?;
        if !caller.is_free() {
            self.auth.require(&caller, Needs::of_txn(&request)).await?;
        }
        let request = convert::txn_request(request);
        let puts = has_put(&request);
        let done = self.write(request, puts).await?;
        Ok(Response::new(convert::txn_response(self.group.stamp(), done)))
    }

    async fn compact(&self, request: Request<pb::CompactionRequest>) -> Answer<pb::CompactionResponse> {
        self.caller(&request).await?.require_root()?;
        self.alarms.check(false).await?;
        let begun = Instant::now();
        self.store.compact(request.into_inner().revision).await.map_err(convert::status)?;
        self.metrics.compacted(begun.elapsed(), (self.config.clock)());
        Ok(Response::new(pb::CompactionResponse { header: self.header().await? }))
    }
}

#[async_trait]
impl pb::watch_server::Watch for EtcdServer {
    type WatchStream = watch::Responses;

    async fn watch(&self, request: Request<tonic::Streaming<pb::WatchRequest>>) -> Answer<Self::WatchStream> {
        let guard = Guard::new(self, &request);
        // Without a valid token there is nothing to ask for later.
        guard.caller().await?;
        Ok(Response::new(watch::general(self.clone(), guard, request.into_inner())))
    }
}
