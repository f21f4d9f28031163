//! Taking what other members send.

use std::io;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::r#gen::messages as pb;
use super::r#gen::messages::peer_server::PeerServer as Service;
use super::metrics::PeerMetrics;
use super::network::PeerNetwork;
use super::{GROUP, MAX_BATCH, MEMBER, REMOVED};
use crate::etcd::server::{Listener, Terms, connections};
use crate::raft::{Inbox, MemberInfo, RaftStatus, RaftStore};

/// Where other members reach one.
#[derive(Debug, Clone)]
pub struct PeerServer {
    cluster: u64,
    inbox: Inbox,
    status: watch::Receiver<RaftStatus>,
    shutdown: CancellationToken,
    metrics: Arc<PeerMetrics>,
}

impl PeerServer {
    /// Of a member.
    pub fn new(store: &RaftStore) -> Self {
        let (inbox, status) = (store.inbox(), store.watch_status());
        let (shutdown, metrics) = (CancellationToken::new(), Arc::default());
        Self { cluster: store.cluster(), inbox, status, shutdown, metrics }
    }

    /// Counts what comes where `network` counts what goes.
    pub fn counting(self, network: &PeerNetwork) -> Self {
        Self { metrics: network.metrics(), ..self }
    }

    /// Serves on `listener` until `shutdown`. With TLS, each connection takes the configuration of the moment; it has to
    /// offer the protocol `h2`, and decides which members are let in.
    pub async fn serve(
        mut self,
        listener: impl Into<Listener>,
        tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        self.shutdown = shutdown.clone();
        let connections = connections(listener.into(), Terms { tls, ..Terms::default() }, shutdown.clone());
        tonic::transport::Server::builder()
            .add_service(Service::new(self).max_decoding_message_size(MAX_BATCH))
            .serve_with_incoming_shutdown(connections, shutdown.cancelled_owned())
            .await
            .map_err(io::Error::other)
    }

    /// Who sends. Refuses members of other groups, and those that were removed, which learn of it so.
    fn check(&self, metadata: &MetadataMap) -> Result<u64, Status> {
        let number = |name| {
            let text = metadata.get(name).and_then(|value| value.to_str().ok());
            text.and_then(|text| u64::from_str_radix(text, 16).ok())
        };
        let (Some(cluster), Some(member)) = (number(GROUP), number(MEMBER)) else {
            return Err(Status::invalid_argument("the sender does not say who it is"));
        };
        if cluster != self.cluster {
            let own = self.cluster;
            return Err(Status::failed_precondition(format!("the group is {own:x}, not {cluster:x}")));
        }
        if self.status.borrow().removed.contains(&member) {
            return Err(Status::permission_denied(REMOVED));
        }
        Ok(member)
    }

    async fn take(&self, request: Request<Streaming<pb::Frames>>) -> Result<Response<pb::Taken>, Status> {
        let metadata = request.metadata().clone();
        let metrics = self.metrics.of(self.check(&metadata)?);
        let mut batches = request.into_inner();
        loop {
            let batch = tokio::select! {
                batch = batches.next() => batch,
                () = self.shutdown.cancelled() => return Err(Status::unavailable("the member stops")),
            };
            let Some(batch) = batch else { return Ok(Response::new(pb::Taken {})) };
            let frames = batch?.frames;
            metrics.received.add(frames.iter().map(|frame| frame.len() as u64).sum());
            frames.into_iter().for_each(|frame| self.inbox.deliver(frame));
            self.check(&metadata)?;
        }
    }
}

#[async_trait]
impl pb::peer_server::Peer for PeerServer {
    async fn messages(&self, request: Request<Streaming<pb::Frames>>) -> Result<Response<pb::Taken>, Status> {
        self.take(request).await
    }

    async fn snapshots(
        &self,
        request: Request<Streaming<pb::Frames>>,
    ) -> Result<Response<pb::Taken>, Status> {
        self.take(request).await
    }

    async fn members(&self, _: Request<pb::MembersRequest>) -> Result<Response<pb::MembersResponse>, Status> {
        let members = self.status.borrow().members.iter().map(to_wire).collect();
        Ok(Response::new(pb::MembersResponse { group: self.cluster, members }))
    }
}

fn to_wire(member: &MemberInfo) -> pb::Member {
    let MemberInfo { id, name, peer_urls, client_urls, learner } = member.clone();
    pb::Member { id, name, peer_urls, client_urls, learner }
}

pub(super) fn from_wire(member: pb::Member) -> MemberInfo {
    let pb::Member { id, name, peer_urls, client_urls, learner } = member;
    MemberInfo { id, name, peer_urls, client_urls, learner }
}
