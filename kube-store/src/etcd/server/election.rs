//! The service of elections.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use tonic::{Request, Response, Status, async_trait};

use super::convert;
use super::etcd_server::{Answer, EtcdServer};
use super::queue::{OnBehalf, Place, prefix};
use crate::etcd::r#gen::etcdserverpb as keys;
use crate::etcd::r#gen::v3electionpb as pb;
use crate::{EventKind, WatchRequest, WatchStream};
use keys::request_op::Request as Op;

fn not_leader() -> Status {
    Status::unknown("election: not leader")
}

/// The key that says that somebody leads, which every request but the first ones has to bring.
fn given(leader: Option<pb::LeaderKey>) -> Result<pb::LeaderKey, Status> {
    leader.ok_or_else(|| Status::unknown("\"leader\" field must be provided"))
}

impl OnBehalf {
    async fn proclaim(
        &self,
        leader: pb::LeaderKey,
        value: Bytes,
    ) -> Result<Option<keys::ResponseHeader>, Status> {
        let pb::LeaderKey { key, rev, lease, .. } = leader;
        let put = keys::PutRequest { key: key.clone(), value, lease, ..keys::PutRequest::default() };
        match self.if_created(key, rev, Op::RequestPut(put)).await? {
            (header, true) => Ok(header),
            (_, false) => Err(not_leader()),
        }
    }

    /// A candidate that comes back may have another value now.
    async fn renew(&self, leader: &pb::LeaderKey, place: &Place, value: Bytes) -> Result<(), Status> {
        match &place.found {
            Some(found) if found.value != value => self.proclaim(leader.clone(), value).await.map(drop),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl pb::election_server::Election for EtcdServer {
    type ObserveStream = Pin<Box<dyn Stream<Item = Result<pb::LeaderResponse, Status>> + Send>>;

    /// Answers once the caller is the leader, until its lease ends or it resigns.
    async fn campaign(&self, request: Request<pb::CampaignRequest>) -> Answer<pb::CampaignResponse> {
        let (caller, pb::CampaignRequest { name, lease, value }) = OnBehalf::of(self, request);
        let place = caller.enqueue(&name, lease, value.clone()).await?;
        let withdrawal = caller.withdrawal(&place);
        let leader = pb::LeaderKey {
            name: name.clone(),
            key: place.key.clone(),
            rev: place.revision,
            lease: place.lease,
        };
        caller.renew(&leader, &place, value).await?;
        caller.wait_turn(&name, place.revision).await?;
        withdrawal.cancel();
        Ok(Response::new(pb::CampaignResponse { header: place.header, leader: Some(leader) }))
    }

    async fn proclaim(&self, request: Request<pb::ProclaimRequest>) -> Answer<pb::ProclaimResponse> {
        let (caller, request) = OnBehalf::of(self, request);
        let header = caller.proclaim(given(request.leader)?, request.value).await?;
        Ok(Response::new(pb::ProclaimResponse { header }))
    }

    async fn leader(&self, request: Request<pb::LeaderRequest>) -> Answer<pb::LeaderResponse> {
        let (caller, request) = OnBehalf::of(self, request);
        match caller.head(&request.name).await? {
            (header, kv @ Some(_)) => Ok(Response::new(pb::LeaderResponse { header, kv })),
            (_, None) => Err(Status::unknown("election: no leader")),
        }
    }

    async fn observe(&self, request: Request<pb::LeaderRequest>) -> Answer<Self::ObserveStream> {
        let (caller, request) = OnBehalf::of(self, request);
        let observed = Observed { caller, name: request.name, leader: None };
        let terms = futures::stream::try_unfold(observed, |mut observed| async {
            let response = observed.next().await?;
            Ok(Some((response, observed)))
        });
        Ok(Response::new(Box::pin(terms)))
    }

    async fn resign(&self, request: Request<pb::ResignRequest>) -> Answer<pb::ResignResponse> {
        let (caller, request) = OnBehalf::of(self, request);
        let pb::LeaderKey { key, rev, .. } = given(request.leader)?;
        let delete = keys::DeleteRangeRequest { key: key.clone(), ..keys::DeleteRangeRequest::default() };
        let (header, _) = caller.if_created(key, rev, Op::RequestDeleteRange(delete)).await?;
        Ok(Response::new(pb::ResignResponse { header }))
    }
}

/// An election that is looked at.
struct Observed {
    caller: OnBehalf,
    name: Bytes,
    /// What happens to the key of who leads.
    leader: Option<WatchStream>,
}

impl Observed {
    /// The next that the leader says, or the next leader.
    async fn next(&mut self) -> Result<pb::LeaderResponse, Status> {
        loop {
            match &mut self.leader {
                None => return self.seek().await,
                Some(changes) => {
                    let Some(event) = self.caller.next(changes).await?.events.pop() else { continue };
                    match event.kind {
                        EventKind::Put => return Ok(self.said(convert::key_value(event.kv))),
                        EventKind::Delete => self.leader = None,
                    }
                }
            }
        }
    }

    /// Waits for a leader.
    async fn seek(&mut self) -> Result<pb::LeaderResponse, Status> {
        loop {
            let (header, kv) = self.caller.head(&self.name).await?;
            let now = header.as_ref().map_or(0, |header| header.revision);
            if let Some(kv) = kv {
                self.leader = Some(self.caller.changes(WatchRequest::key(kv.key.clone()), now).await?);
                return Ok(pb::LeaderResponse { header, kv: Some(kv) });
            }
            let mut candidates = self.caller.changes(WatchRequest::prefix(prefix(&self.name)), now).await?;
            self.caller.next(&mut candidates).await?;
        }
    }

    fn said(&self, kv: keys::KeyValue) -> pb::LeaderResponse {
        pb::LeaderResponse { header: self.caller.header(kv.mod_revision), kv: Some(kv) }
    }
}
