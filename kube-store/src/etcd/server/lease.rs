//! The service of leases.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::auth::{Access, Guard};
use super::convert;
use super::etcd_server::{Answer, EtcdServer, mismatch, no_leader};
use super::group::Group;
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{Error, LeaseRequest, LeaseResponse, Precondition};

/// Shortest life of a lease in seconds; what etcd makes of its default time of an election.
const MIN_TTL: u64 = 2;

impl EtcdServer {
    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse, Status> {
        self.store.lease(request).await.map_err(convert::status)
    }

    async fn keep_alive(&self, id: i64) -> Result<pb::LeaseKeepAliveResponse, Status> {
        let header = self.header().await?;
        let ttl = match self.store.lease(LeaseRequest::KeepAlive { id }).await {
            Ok(LeaseResponse::KeptAlive { ttl, .. }) => {
                self.metrics.leases_renewed.add(1);
                seconds(ttl)
            }
            // How etcd says that there is none.
            Err(Error::Precondition(Precondition::LeaseNotFound(_))) => 0,
            Ok(_) => return Err(mismatch()),
            Err(error) => return Err(convert::status(error)),
        };
        Ok(pb::LeaseKeepAliveResponse { header, id, ttl })
    }
}

type KeptAlive = Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

/// The same, ended by an error when there was no leader for some time.
fn until_leaderless(
    group: Group,
    responses: impl Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send + 'static,
) -> KeptAlive {
    let lost = stream::once(async move {
        group.lose_leader().await;
        Some(Err(no_leader()))
    });
    let responses = responses.map(Some).chain(stream::iter([None]));
    Box::pin(stream::select(responses, lost).scan((), |(), response| std::future::ready(response)))
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[async_trait]
impl pb::lease_server::Lease for EtcdServer {
    type LeaseKeepAliveStream = KeptAlive;

    async fn lease_grant(&self, request: Request<pb::LeaseGrantRequest>) -> Answer<pb::LeaseGrantResponse> {
        self.caller(&request).await?.require_user()?;
        self.alarms.check(true).await?;
        let request = request.into_inner();
        // Too short lives are made longer, as etcd does.
        let ttl = Duration::from_secs(u64::try_from(request.ttl).unwrap_or(0).max(MIN_TTL));
        match self.lease(LeaseRequest::Grant { id: request.id, ttl }).await? {
            LeaseResponse::Granted { id, ttl } => {
                self.metrics.leases_granted.add(1);
                self.metrics.lease_ttls.note_number(u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX));
                let (header, ttl) = (self.header().await?, seconds(ttl));
                Ok(Response::new(pb::LeaseGrantResponse { header, id, ttl, error: String::new() }))
            }
            _ => Err(mismatch()),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Answer<pb::LeaseRevokeResponse> {
        let caller = self.caller(&request).await?;
        let id = request.into_inner().id;
        self.auth.require_lease(&caller, Access::Write, id).await?;
        match self.lease(LeaseRequest::Revoke { id }).await? {
            LeaseResponse::Revoked { revision } => {
                self.metrics.leases_revoked.add(1);
                Ok(Response::new(pb::LeaseRevokeResponse { header: self.group.stamp().header(revision) }))
            }
            _ => Err(mismatch()),
        }
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Answer<Self::LeaseKeepAliveStream> {
        let guard = Guard::new(self, &request);
        let caller = Arc::new(guard.caller().await?);
        caller.require_user()?;
        let (server, wants_leader) = (self.clone(), guard.wants_leader());
        let responses = request.into_inner().then(move |request| {
            let (server, guard, caller) = (server.clone(), guard.clone(), caller.clone());
            async move {
                guard.still(&caller).await?.require_user()?;
                if wants_leader && !server.group.has_leader() {
                    return Err(no_leader());
                }
                server.keep_alive(request?.id).await
            }
        });
        let responses = responses.take_until(self.shutdown.clone().cancelled_owned());
        match wants_leader {
            true => Ok(Response::new(until_leaderless(self.group.clone(), responses))),
            false => Ok(Response::new(Box::pin(responses))),
        }
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Answer<pb::LeaseTimeToLiveResponse> {
        let caller = self.caller(&request).await?;
        caller.require_user()?;
        let request = request.into_inner();
        if request.keys {
            self.auth.require_lease(&caller, Access::Read, request.id).await?;
        }
        let header = self.header().await?;
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

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Answer<pb::LeaseLeasesResponse> {
        self.caller(&request).await?.require_user()?;
        match self.lease(LeaseRequest::List).await? {
            LeaseResponse::Leases(ids) => {
                let leases = ids.into_iter().map(|id| pb::LeaseStatus { id }).collect();
                Ok(Response::new(pb::LeaseLeasesResponse { header: self.header().await?, leases }))
            }
            _ => Err(mismatch()),
        }
    }
}
