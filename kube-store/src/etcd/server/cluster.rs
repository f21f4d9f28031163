//! The service of members, of which there is one.

use tonic::{Request, Response, Status, async_trait};

use super::etcd_server::{Answer, EtcdServer, MEMBER};
use crate::etcd::r#gen::etcdserverpb as pb;

impl EtcdServer {
    fn member(&self) -> pb::Member {
        let member = &self.config.member;
        pb::Member {
            id: MEMBER,
            name: member.name.clone(),
            peer_ur_ls: member.peer_urls.clone(),
            client_ur_ls: member.client_urls.clone(),
            is_learner: false,
        }
    }
}

/// Refuses what is no list of addresses.
fn check_urls(urls: &[String]) -> Result<(), Status> {
    let is_url = |url: &String| {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        rest.and_then(|rest| rest.rsplit_once(':')).is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        })
    };
    if !urls.is_empty() && urls.iter().all(is_url) {
        return Ok(());
    }
    Err(Status::invalid_argument("etcdserver: given member URLs are invalid"))
}

fn check_member(id: u64) -> Result<(), Status> {
    if id == MEMBER { Ok(()) } else { Err(Status::not_found("etcdserver: member not found")) }
}

#[async_trait]
impl pb::cluster_server::Cluster for EtcdServer {
    async fn member_add(&self, request: Request<pb::MemberAddRequest>) -> Answer<pb::MemberAddResponse> {
        self.caller(&request).await?.require_root()?;
        let urls = request.into_inner().peer_ur_ls;
        check_urls(&urls)?;
        if urls.iter().any(|url| self.config.member.peer_urls.contains(url)) {
            return Err(Status::failed_precondition("etcdserver: Peer URLs already exists"));
        }
        Err(Status::unimplemented("etcdserver: this server is its cluster's only member"))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Answer<pb::MemberRemoveResponse> {
        self.caller(&request).await?.require_root()?;
        check_member(request.into_inner().id)?;
        Err(Status::failed_precondition(
            "etcdserver: re-configuration failed due to not enough started members",
        ))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Answer<pb::MemberUpdateResponse> {
        self.caller(&request).await?.require_root()?;
        let request = request.into_inner();
        check_urls(&request.peer_ur_ls)?;
        check_member(request.id)?;
        if request.peer_ur_ls != self.config.member.peer_urls {
            return Err(Status::unimplemented(
                "etcdserver: this server's peer URLs are given when it starts",
            ));
        }
        let members = vec![self.member()];
        Ok(Response::new(pb::MemberUpdateResponse { header: self.header().await?, members }))
    }

    async fn member_list(&self, request: Request<pb::MemberListRequest>) -> Answer<pb::MemberListResponse> {
        self.caller(&request).await?.require_user()?;
        let members = vec![self.member()];
        Ok(Response::new(pb::MemberListResponse { header: self.header().await?, members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Answer<pb::MemberPromoteResponse> {
        self.caller(&request).await?.require_root()?;
        check_member(request.into_inner().id)?;
        Err(Status::failed_precondition("etcdserver: can only promote a learner member"))
    }
}
