//! The service of locks.

use bytes::Bytes;
use tonic::{Request, Response, Status, async_trait};

use super::etcd_server::{Answer, EtcdServer};
use super::queue::OnBehalf;
use crate::etcd::r#gen::etcdserverpb as keys;
use crate::etcd::r#gen::v3lockpb as pb;

#[async_trait]
impl pb::lock_server::Lock for EtcdServer {
    /// Answers once the lock is the caller's, until its lease ends or the key is deleted.
    async fn lock(&self, request: Request<pb::LockRequest>) -> Answer<pb::LockResponse> {
        let (caller, pb::LockRequest { name, lease }) = OnBehalf::of(self, request);
        let place = caller.enqueue(&name, lease, Bytes::new()).await?;
        let withdrawal = caller.withdrawal(&place);
        caller.wait_turn(&name, place.revision).await?;
        // The lease may have ended meanwhile.
        let own = keys::RangeRequest { key: place.key.clone(), ..keys::RangeRequest::default() };
        let own = caller.range(own).await?;
        if own.kvs.is_empty() {
            return Err(Status::unknown("mutex: session is expired"));
        }
        withdrawal.cancel();
        Ok(Response::new(pb::LockResponse { header: own.header, key: place.key }))
    }

    async fn unlock(&self, request: Request<pb::UnlockRequest>) -> Answer<pb::UnlockResponse> {
        let (caller, request) = OnBehalf::of(self, request);
        Ok(Response::new(pb::UnlockResponse { header: caller.delete(request.key).await? }))
    }
}
