//! The store that lives in an etcd cluster, or in anything that serves its API.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use super::encode;
use super::r#gen::etcdserverpb as pb;
use crate::{
    Error, KeyRange, LeaseRequest, LeaseResponse, Precondition, RangeRequest, RangeResponse, Result,
    Revision, Store, StoreStatus, TxnRequest, TxnResponse, WatchProgress, WatchRequest, WatchResponse,
    WatchStream,
};
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;

/// Largest message taken from the server.
const MAX_MESSAGE: usize = usize::MAX;

/// A store in an etcd v3 cluster. Limits, retention and durability are the cluster's. Each watch has a stream of its own on one
/// connection; its buffer is that of the connection, and etcd holds back what is not read.
///
/// etcd says less than this crate about what went wrong, so some details of errors are 0 or empty, and of
/// [`StoreStatus`] `compacted`, `watchers` and `failure` are not known.
#[derive(Debug, Clone)]
pub struct EtcdStore {
    channel: Channel,
}

impl EtcdStore {
    /// Connects to `endpoint`, as `http://127.0.0.1:2379`.
    pub async fn connect(endpoint: impl Into<String>) -> Result<Self> {
        let endpoint = Channel::from_shared(endpoint.into()).map_err(unavailable)?;
        Ok(Self::with_channel(endpoint.connect().await.map_err(unavailable)?))
    }

    /// Uses a connection made elsewhere, as with TLS or to several members.
    pub fn with_channel(channel: Channel) -> Self {
        Self { channel }
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    fn leases(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    /// What a status means; asks for what it does not say.
    async fn explain(&self, status: Status, asked: Revision, lease: i64) -> Error {
        match encode::error(&status, asked, lease) {
            Error::Compacted { .. } => match self.compacted().await {
                Ok(compacted) => Error::Compacted { compacted },
                Err(error) => error,
            },
            Error::FutureRevision { requested, .. } => match self.revision().await {
                Ok(current) => Error::FutureRevision { requested, current },
                Err(error) => error,
            },
            error => error,
        }
    }

    async fn revision(&self) -> Result<Revision> {
        let count = RangeRequest::key(&b"\0"[..]).count_only();
        let response = self.kv().range(encode::range_request(count)).await.map_err(unavailable)?;
        Ok(encode::revision(response.into_inner().header.as_ref()))
    }

    /// Only a watch from the beginning is told where history starts.
    async fn compacted(&self) -> Result<Revision> {
        let request = WatchRequest::key(&b"\0"[..]).from_revision(1);
        let (_requests, mut responses, _) = self.open(&request).await?;
        match tokio::time::timeout(Duration::from_secs(5), responses.message()).await {
            Ok(Ok(Some(response))) if response.compact_revision > 0 => Ok(response.compact_revision),
            _ => Ok(0),
        }
    }

    /// Opens a stream with one watch on it; answers once the server has confirmed it.
    async fn open(&self, request: &WatchRequest) -> Result<Opened> {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(encode::watch_request(request)).map_err(unavailable)?;
        let mut client = WatchClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let responses = client.watch(UnboundedReceiverStream::new(receiver)).await;
        let mut responses = responses.map_err(unavailable)?.into_inner();
        let created = responses.message().await.map_err(unavailable)?.ok_or_else(Error::closed)?;
        if created.canceled {
            return Err(cancelled(&created));
        }
        Ok((sender, responses, encode::revision(created.header.as_ref())))
    }
}

/// Requests to a watch's stream, its responses, and the revision it started at.
type Opened = (mpsc::UnboundedSender<pb::WatchRequest>, Streaming<pb::WatchResponse>, Revision);

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable { reason: error.to_string() }
}

fn cancelled(response: &pb::WatchResponse) -> Error {
    match response.compact_revision {
        0 => encode::error(&Status::invalid_argument(&response.cancel_reason), 0, 0),
        compacted => Error::Compacted { compacted },
    }
}

/// etcd may put several revisions into one response; a revision is never split unless one asks for it.
fn by_revision(response: pb::WatchResponse) -> VecDeque<WatchResponse> {
    let mut parts: VecDeque<WatchResponse> = VecDeque::new();
    let head = encode::revision(response.header.as_ref());
    for event in response.events.into_iter().map(encode::event) {
        let revision = event.kv.mod_revision;
        match parts.back_mut() {
            Some(part) if part.revision == revision => part.events.push(event),
            _ => parts.push_back(WatchResponse { revision, events: vec![event] }),
        }
    }
    if parts.is_empty() {
        parts.push_back(WatchResponse { revision: head, events: Vec::new() });
    }
    parts
}

/// A watch being read.
struct Reading {
    responses: Streaming<pb::WatchResponse>,
    ready: VecDeque<WatchResponse>,
    ended: bool,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<WatchResponse>, Self)> {
        loop {
            if let Some(response) = self.ready.pop_front() {
                return Some((Ok(response), self));
            }
            if self.ended {
                return None;
            }
            let error = match self.responses.message().await {
                Ok(Some(response)) if response.canceled => cancelled(&response),
                Ok(Some(response)) => {
                    self.ready = by_revision(response);
                    continue;
                }
                Ok(None) => Error::closed(),
                Err(status) => unavailable(status),
            };
            self.ended = true;
            return Some((Err(error), self));
        }
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        let asked = request.revision().unwrap_or(0);
        match self.kv().range(encode::range_request(request)).await {
            Ok(response) => Ok(encode::range_response(response.into_inner(), 0)),
            Err(status) => Err(self.explain(status, asked, 0).await),
        }
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        let lease = first_lease(&request);
        match self.kv().txn(encode::txn_request(request)).await.map(Response::into_inner) {
            Ok(response) => {
                let at = encode::revision(response.header.as_ref());
                Ok(encode::txn_response(response, at))
            }
            Err(status) => Err(self.explain(status, 0, lease).await),
        }
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        // A start that is compacted is told only after the watch is confirmed, which may never be followed by anything else; so
        // it is asked for first. If compaction comes in between, the stream says so.
        if let Some(start) = request.start_revision.filter(|start| *start > 0) {
            match self.range(RangeRequest::key(&b"\0"[..]).count_only().at_revision(start)).await {
                Ok(_) | Err(Error::FutureRevision { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (requests, responses, revision) = self.open(&request).await?;
        let progress = WatchProgress::new(move || {
            let union = pb::watch_request::RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
            // Without a stream there is nobody to report to.
            let _ = requests.send(pb::WatchRequest { request_union: Some(union) });
        });
        let reading = Reading { responses, ready: VecDeque::new(), ended: false };
        Ok(WatchStream::new(revision, progress, stream::unfold(reading, Reading::next)))
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        match self.kv().compact(pb::CompactionRequest { revision, physical: false }).await {
            Ok(_) => Ok(()),
            Err(status) => Err(self.explain(status, revision, 0).await),
        }
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        let id = match request {
            LeaseRequest::Grant { id, .. }
            | LeaseRequest::Revoke { id }
            | LeaseRequest::KeepAlive { id }
            | LeaseRequest::TimeToLive { id } => id,
            LeaseRequest::List => 0,
        };
        match self.lease_call(request).await {
            Ok(response) => response,
            Err(status) => Err(self.explain(status, 0, id).await),
        }
    }

    /// Of the member that is asked, which may answer nothing else meanwhile.
    async fn defragment(&self) -> Result<()> {
        let mut client = MaintenanceClient::new(self.channel.clone());
        client.defragment(pb::DefragmentRequest {}).await.map(drop).map_err(unavailable)
    }

    async fn status(&self) -> Result<StoreStatus> {
        let mut client = MaintenanceClient::new(self.channel.clone());
        let status = client.status(pb::StatusRequest {}).await.map_err(unavailable)?.into_inner();
        let all = self.range(RangeRequest::new(KeyRange::All).count_only()).await?;
        let leases = match self.lease(LeaseRequest::List).await? {
            LeaseResponse::Leases(ids) => ids.len() as u64,
            _ => 0,
        };
        Ok(StoreStatus {
            revision: all.revision,
            keys: all.count,
            bytes: u64::try_from(status.db_size_in_use).unwrap_or(0),
            bytes_on_disk: u64::try_from(status.db_size).unwrap_or(0),
            leases,
            ..StoreStatus::default()
        })
    }
}

fn first_lease(request: &TxnRequest) -> i64 {
    let lease = |op: &crate::Op| match op {
        crate::Op::Put(put) => Some(put.lease).filter(|lease| *lease != 0),
        _ => None,
    };
    request.success.iter().chain(&request.failure).find_map(lease).unwrap_or(0)
}

fn time(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

impl EtcdStore {
    async fn lease_call(&self, request: LeaseRequest) -> Result<Result<LeaseResponse>, Status> {
        let mut client = self.leases();
        let missing = |id| Err(Precondition::LeaseNotFound(id).into());
        Ok(match request {
            LeaseRequest::Grant { ttl, .. } if ttl.is_zero() => Err(crate::InvalidRequest::LeaseTtl.into()),
            LeaseRequest::Grant { id, ttl } => {
                let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
                let ttl = i64::try_from(seconds).unwrap_or(i64::MAX);
                let granted = client.lease_grant(pb::LeaseGrantRequest { ttl, id }).await?.into_inner();
                Ok(LeaseResponse::Granted { id: granted.id, ttl: time(granted.ttl) })
            }
            LeaseRequest::Revoke { id } => {
                let revoked = client.lease_revoke(pb::LeaseRevokeRequest { id }).await?.into_inner();
                Ok(LeaseResponse::Revoked { revision: encode::revision(revoked.header.as_ref()) })
            }
            LeaseRequest::KeepAlive { id } => {
                // The request stream stays open until the answer is there; some servers stop at its end.
                let requests = stream::iter([pb::LeaseKeepAliveRequest { id }]).chain(stream::pending());
                let answer = client.lease_keep_alive(requests).await?.into_inner().message().await?;
                match answer {
                    Some(kept) if kept.ttl > 0 => Ok(LeaseResponse::KeptAlive { id, ttl: time(kept.ttl) }),
                    _ => missing(id),
                }
            }
            LeaseRequest::TimeToLive { id } => {
                let request = pb::LeaseTimeToLiveRequest { id, keys: true };
                let left = client.lease_time_to_live(request).await?.into_inner();
                let (granted, remaining) = (time(left.granted_ttl), time(left.ttl));
                match left.ttl {
                    ..0 => missing(id),
                    _ => Ok(LeaseResponse::TimeToLive { id, granted, remaining, keys: left.keys }),
                }
            }
            LeaseRequest::List => {
                let all = client.lease_leases(pb::LeaseLeasesRequest {}).await?.into_inner();
                Ok(LeaseResponse::Leases(all.leases.into_iter().map(|lease| lease.id).collect()))
            }
        })
    }
}
