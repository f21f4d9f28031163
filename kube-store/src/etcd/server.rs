//! The server: everything but watches is a translation there and back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::r#gen::etcdserverpb as pb;
use super::{convert, watch};
use crate::{
    Error, LeaseRequest, LeaseResponse, Op, OpResult, Precondition, Revision, Store, StoreStatus, TxnRequest,
};

/// Identity of the only member; nothing else is ever asked for.
pub(super) const CLUSTER: u64 = 1;
pub(super) const MEMBER: u64 = 1;

/// The release whose API this is; clients look at it to know what they may use.
const VERSION: &str = "3.5.21";

/// Largest message taken; what the store takes is less, and its error is better.
const MAX_MESSAGE: usize = 64 << 20;

/// What the cluster's list of members says of this server.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where clients reach it, as `http://127.0.0.1:2379`.
    pub client_urls: Vec<String>,
}

/// Serves the etcd v3 gRPC API on any store: keys, transactions, watches, leases, compaction, status and the list of
/// members. Users and roles, snapshots of the database file and changes of the membership are not served.
///
/// etcdctl 3.4 sends an endpoint with a scheme as an authority that HTTP/2 forbids, and is refused: give it
/// `--endpoints 127.0.0.1:2379`, its default, without `http://`.
#[derive(Debug, Clone)]
pub struct EtcdServer {
    store: Arc<dyn Store>,
    member: Arc<Member>,
}

type Answer<T> = Result<Response<T>, Status>;

impl EtcdServer {
    /// A server of `store`.
    pub fn new(store: Arc<dyn Store>, member: Member) -> Self {
        Self { store, member: Arc::new(member) }
    }

    /// Its services, to be served together with others or behind TLS.
    pub fn routes(&self) -> Routes {
        use pb::cluster_server::ClusterServer;
        use pb::kv_server::KvServer;
        use pb::lease_server::LeaseServer;
        use pb::maintenance_server::MaintenanceServer;
        use pb::watch_server::WatchServer;
        Routes::new(KvServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(WatchServer::new(self.clone()))
            .add_service(LeaseServer::new(self.clone()))
            .add_service(ClusterServer::new(self.clone()))
            .add_service(MaintenanceServer::new(self.clone()))
    }

    /// Serves on `listener` until `shutdown`; then watches are ended and calls that run are finished.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        tonic::transport::Server::builder()
            .add_routes(self.routes())
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.cancelled_owned())
            .await
            .map_err(io::Error::other)
    }

    async fn op(&self, op: Op) -> Result<OpResult, Status> {
        let mut response = self.store.txn(TxnRequest::of([op])).await.map_err(convert::status)?;
        response.results.pop().ok_or_else(|| Status::internal("the store answered nothing"))
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse, Status> {
        self.store.lease(request).await.map_err(convert::status)
    }

    async fn state(&self) -> Result<StoreStatus, Status> {
        self.store.status().await.map_err(convert::status)
    }

    async fn revision(&self) -> Result<Revision, Status> {
        Ok(self.state().await?.revision)
    }

    async fn keep_alive(&self, id: i64) -> Result<pb::LeaseKeepAliveResponse, Status> {
        let header = convert::header(self.revision().await?);
        let ttl = match self.store.lease(LeaseRequest::KeepAlive { id }).await {
            Ok(LeaseResponse::KeptAlive { ttl, .. }) => seconds(ttl),
            // How etcd says that there is none.
            Err(Error::Precondition(Precondition::LeaseNotFound(_))) => 0,
            Ok(_) => return Err(mismatch()),
            Err(error) => return Err(convert::status(error)),
        };
        Ok(pb::LeaseKeepAliveResponse { header, id, ttl })
    }
}

fn mismatch() -> Status {
    Status::internal("the store answered another operation than was asked")
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[async_trait]
impl pb::kv_server::Kv for EtcdServer {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Answer<pb::RangeResponse> {
        let response = self.store.range(convert::range_request(request.into_inner())).await;
        Ok(Response::new(convert::range_response(response.map_err(convert::status)?)))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Answer<pb::PutResponse> {
        match self.op(convert::put_request(request.into_inner()).into()).await? {
            OpResult::Put(put) => Ok(Response::new(convert::put_response(put))),
            _ => Err(mismatch()),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Answer<pb::DeleteRangeResponse> {
        match self.op(convert::delete_request(request.into_inner()).into()).await? {
            OpResult::Delete(delete) => Ok(Response::new(convert::delete_response(delete))),
            _ => Err(mismatch()),
        }
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Answer<pb::TxnResponse> {
        let response = self.store.txn(convert::txn_request(request.into_inner())).await;
        Ok(Response::new(convert::txn_response(response.map_err(convert::status)?)))
    }

    async fn compact(&self, request: Request<pb::CompactionRequest>) -> Answer<pb::CompactionResponse> {
        self.store.compact(request.into_inner().revision).await.map_err(convert::status)?;
        let header = convert::header(self.revision().await?);
        Ok(Response::new(pb::CompactionResponse { header }))
    }
}

#[async_trait]
impl pb::watch_server::Watch for EtcdServer {
    type WatchStream = watch::Responses;

    async fn watch(&self, request: Request<Streaming<pb::WatchRequest>>) -> Answer<Self::WatchStream> {
        Ok(Response::new(watch::serve(self.store.clone(), request.into_inner())))
    }
}

#[async_trait]
impl pb::lease_server::Lease for EtcdServer {
    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(&self, request: Request<pb::LeaseGrantRequest>) -> Answer<pb::LeaseGrantResponse> {
        let request = request.into_inner();
        // Too short lives are made longer, as etcd does.
        let ttl = Duration::from_secs(u64::try_from(request.ttl).unwrap_or(0).max(1));
        match self.lease(LeaseRequest::Grant { id: request.id, ttl }).await? {
            LeaseResponse::Granted { id, ttl } => {
                let header = convert::header(self.revision().await?);
                Ok(Response::new(pb::LeaseGrantResponse {
                    header,
                    id,
                    ttl: seconds(ttl),
                    error: String::new(),
                }))
            }
            _ => Err(mismatch()),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Answer<pb::LeaseRevokeResponse> {
        match self.lease(LeaseRequest::Revoke { id: request.into_inner().id }).await? {
            LeaseResponse::Revoked { revision } => {
                Ok(Response::new(pb::LeaseRevokeResponse { header: convert::header(revision) }))
            }
            _ => Err(mismatch()),
        }
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Answer<Self::LeaseKeepAliveStream> {
        let server = self.clone();
        let responses = request.into_inner().then(move |request| {
            let server = server.clone();
            async move { server.keep_alive(request?.id).await }
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Answer<pb::LeaseTimeToLiveResponse> {
        let request = request.into_inner();
        let header = convert::header(self.revision().await?);
        let mut response =
            pb::LeaseTimeToLiveResponse { header, id: request.id, ttl: -1, ..Default::default() };
        match self.store.lease(LeaseRequest::TimeToLive { id: request.id }).await {
            Ok(LeaseResponse::TimeToLive { granted, remaining, keys, .. }) => {
                (response.ttl, response.granted_ttl) = (seconds(remaining), seconds(granted));
                response.keys = if request.keys { keys } else { Vec::new() };
            }
            // How etcd says that there is none.
            Err(Error::Precondition(Precondition::LeaseNotFound(_))) => {}
            Ok(_) => return Err(mismatch()),
            Err(error) => return Err(convert::status(error)),
        }
        Ok(Response::new(response))
    }

    async fn lease_leases(&self, _: Request<pb::LeaseLeasesRequest>) -> Answer<pb::LeaseLeasesResponse> {
        match self.lease(LeaseRequest::List).await? {
            LeaseResponse::Leases(ids) => {
                let header = convert::header(self.revision().await?);
                let leases = ids.into_iter().map(|id| pb::LeaseStatus { id }).collect();
                Ok(Response::new(pb::LeaseLeasesResponse { header, leases }))
            }
            _ => Err(mismatch()),
        }
    }
}

#[async_trait]
impl pb::cluster_server::Cluster for EtcdServer {
    async fn member_list(&self, _: Request<pb::MemberListRequest>) -> Answer<pb::MemberListResponse> {
        let member = pb::Member {
            id: MEMBER,
            name: self.member.name.clone(),
            peer_ur_ls: Vec::new(),
            client_ur_ls: self.member.client_urls.clone(),
            is_learner: false,
        };
        let header = convert::header(self.revision().await?);
        Ok(Response::new(pb::MemberListResponse { header, members: vec![member] }))
    }
}

#[async_trait]
impl pb::maintenance_server::Maintenance for EtcdServer {
    async fn alarm(&self, _: Request<pb::AlarmRequest>) -> Answer<pb::AlarmResponse> {
        let header = convert::header(self.revision().await?);
        Ok(Response::new(pb::AlarmResponse { header, alarms: Vec::new() }))
    }

    async fn status(&self, _: Request<pb::StatusRequest>) -> Answer<pb::StatusResponse> {
        let status = self.state().await?;
        let bytes = |n| i64::try_from(n).unwrap_or(i64::MAX);
        let index = u64::try_from(status.revision).unwrap_or(0);
        Ok(Response::new(pb::StatusResponse {
            header: convert::header(status.revision),
            version: VERSION.into(),
            db_size: bytes(status.bytes_on_disk.max(status.bytes)),
            db_size_in_use: bytes(status.bytes),
            leader: MEMBER,
            raft_index: index,
            raft_applied_index: index,
            raft_term: 1,
            errors: status.failure.iter().map(ToString::to_string).collect(),
            ..Default::default()
        }))
    }

    async fn defragment(&self, _: Request<pb::DefragmentRequest>) -> Answer<pb::DefragmentResponse> {
        // The engine does it by itself.
        Ok(Response::new(pb::DefragmentResponse { header: convert::header(self.revision().await?) }))
    }
}
