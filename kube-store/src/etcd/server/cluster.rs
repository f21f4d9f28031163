//! The service of members.

use tonic::{Request, Response, Status, async_trait};

use super::etcd_server::{Answer, EtcdServer};
use crate::etcd::r#gen::etcdserverpb as pb;

/// How addresses of members begin.
const SCHEMES: [&str; 4] = ["http", "https", "unix", "unixs"];

/// The addresses in order, as etcd keeps those of a new member; refuses what is no list of addresses.
fn sorted_urls(urls: &[String]) -> Result<Vec<String>, Status> {
    let mut urls: Vec<_> = urls.iter().map(|url| url.trim().to_owned()).collect();
    urls.sort_unstable();
    check_urls(&urls)?;
    Ok(urls)
}

fn check_urls(urls: &[String]) -> Result<(), Status> {
    let is_url = |url: &String| {
        let rest = url.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme));
        rest.and_then(|(_, rest)| rest.rsplit_once(':')).is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        })
    };
    if !urls.is_empty() && urls.iter().all(is_url) {
        return Ok(());
    }
    Err(Status::invalid_argument("etcdserver: given member URLs are invalid"))
}

impl EtcdServer {
    /// The header of this service's answers: etcd's say nothing of the revision.
    fn member_header(&self) -> Option<pb::ResponseHeader> {
        self.group.stamp().header(0)
    }
}

#[async_trait]
impl pb::cluster_server::Cluster for EtcdServer {
    async fn member_add(&self, request: Request<pb::MemberAddRequest>) -> Answer<pb::MemberAddResponse> {
        let request = self.administrator(request).await?;
        let urls = sorted_urls(&request.peer_ur_ls)?;
        let member = Some(self.group.add(urls, request.is_learner).await?);
        let (header, members) = (self.member_header(), self.group.members());
        Ok(Response::new(pb::MemberAddResponse { header, member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Answer<pb::MemberRemoveResponse> {
        let request = self.administrator(request).await?;
        self.group.remove(request.id).await?;
        let (header, members) = (self.member_header(), self.group.members());
        Ok(Response::new(pb::MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Answer<pb::MemberUpdateResponse> {
        let request = self.administrator(request).await?;
        check_urls(&request.peer_ur_ls)?;
        self.group.update(request.id, request.peer_ur_ls).await?;
        let (header, members) = (self.member_header(), self.group.members());
        Ok(Response::new(pb::MemberUpdateResponse { header, members }))
    }

    async fn member_list(&self, request: Request<pb::MemberListRequest>) -> Answer<pb::MemberListResponse> {
        self.caller(&request).await?.require_user()?;
        let members = match request.into_inner().linearizable {
            true => self.group.members_now().await.map_err(super::convert::status)?,
            false => self.group.members(),
        };
        Ok(Response::new(pb::MemberListResponse { header: self.member_header(), members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Answer<pb::MemberPromoteResponse> {
        let request = self.administrator(request).await?;
        self.group.promote(request.id).await?;
        self.metrics.promoted.add(1);
        let (header, members) = (self.member_header(), self.group.members());
        Ok(Response::new(pb::MemberPromoteResponse { header, members }))
    }
}
