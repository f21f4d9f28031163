//! The group that the server's store belongs to: who answers, who leads, who else is there.

use std::sync::Arc;

use tonic::Status;

#[cfg(feature = "raft")]
use super::convert;
use super::etcd_server::Member;
use super::metrics::Metrics;
use crate::etcd::r#gen::etcdserverpb as pb;
#[cfg(feature = "raft")]
use crate::raft::{MemberChange, MemberInfo, RaftStore};
use crate::{RangeRequest, RangeResponse, Result, Revision, Store};

/// Number of a cluster of one member, and of that.
const ALONE: u64 = 1;

/// How etcd refuses a change after which the members that run could not agree.
pub(super) const NOT_ENOUGH: &str = "etcdserver: re-configuration failed due to not enough started members";

/// Whose store is served.
#[derive(Debug, Clone)]
pub(super) enum Group {
    /// A store that is not replicated, or not by us.
    Alone(Arc<Member>),
    /// A member of a group.
    #[cfg(feature = "raft")]
    Raft(Arc<RaftStore>),
}

/// Who answers, as it is in the header of every answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    cluster: u64,
    pub(super) member: u64,
    term: u64,
}

impl Stamp {
    pub(super) fn header(self, revision: Revision) -> Option<pb::ResponseHeader> {
        let Self { cluster, member, term } = self;
        Some(pb::ResponseHeader { cluster_id: cluster, member_id: member, revision, raft_term: term })
    }
}

/// How the group is.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// The member that leads; 0 when none does.
    pub(super) leader: u64,
    pub(super) term: u64,
    pub(super) committed: u64,
    pub(super) applied: u64,
    pub(super) is_learner: bool,
    /// How often this member led and sent its heartbeats late.
    pub(super) late_heartbeats: u64,
}

impl Group {
    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::Alone(_) => Stamp { cluster: ALONE, member: ALONE, term: 1 },
            #[cfg(feature = "raft")]
            Self::Raft(store) => Stamp { cluster: store.cluster(), member: store.id(), term: store.term() },
        }
    }

    /// How the group is when the store is at `revision`, which stands for the log where there is none.
    pub(super) fn view(&self, revision: Revision) -> View {
        match self {
            Self::Alone(_) => {
                let index = u64::try_from(revision).unwrap_or(0);
                View { leader: ALONE, term: 1, committed: index, applied: index, ..View::default() }
            }
            #[cfg(feature = "raft")]
            Self::Raft(store) => {
                let status = store.raft_status();
                View {
                    leader: status.leader.unwrap_or(0),
                    term: status.term,
                    committed: status.committed,
                    applied: status.applied,
                    is_learner: status.role == crate::raft::Role::Learner,
                    late_heartbeats: store.late_heartbeats(),
                }
            }
        }
    }

    pub(super) fn members(&self) -> Vec<pb::Member> {
        match self {
            Self::Alone(member) => vec![pb::Member {
                id: ALONE,
                name: member.name.clone(),
                peer_ur_ls: member.peer_urls.clone(),
                client_ur_ls: member.client_urls.clone(),
                is_learner: false,
            }],
            #[cfg(feature = "raft")]
            Self::Raft(store) => store.raft_status().members.into_iter().map(to_wire).collect(),
        }
    }

    /// The members as of now.
    pub(super) async fn members_now(&self) -> Result<Vec<pb::Member>> {
        match self {
            Self::Alone(_) => Ok(self.members()),
            #[cfg(feature = "raft")]
            Self::Raft(store) => Ok(store.members().await?.into_iter().map(to_wire).collect()),
        }
    }

    /// Whether this member knows who leads.
    pub(super) fn has_leader(&self) -> bool {
        match self {
            Self::Alone(_) => true,
            #[cfg(feature = "raft")]
            Self::Raft(store) => store.leader().is_some(),
        }
    }

    /// Whether this member follows without a vote.
    pub(super) fn is_learner(&self) -> bool {
        match self {
            Self::Alone(_) => false,
            #[cfg(feature = "raft")]
            Self::Raft(store) => store.is_learner(),
        }
    }

    /// Reads what this member has, which may be old.
    pub(super) async fn range_here(&self, store: &dyn Store, request: RangeRequest) -> Result<RangeResponse> {
        match self {
            Self::Alone(_) => store.range(request).await,
            #[cfg(feature = "raft")]
            Self::Raft(store) => store.range_serializable(request).await,
        }
    }

    /// Waits until there was no leader for some time.
    pub(super) async fn lose_leader(&self) {
        match self {
            Self::Alone(_) => std::future::pending().await,
            #[cfg(feature = "raft")]
            Self::Raft(store) => lose_leader(store).await,
        }
    }

    /// Counts how often somebody new leads, for as long as the group runs.
    pub(super) fn count_leaders(&self, metrics: &Arc<Metrics>) {
        match self {
            // The one member has led since it began.
            Self::Alone(_) => metrics.leader_changes.add(1),
            #[cfg(feature = "raft")]
            Self::Raft(store) => {
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(count_leaders(store.watch_status(), metrics.clone()));
                }
            }
        }
    }

    /// Adds a member; answers it.
    pub(super) async fn add(&self, urls: Vec<String>, learner: bool) -> Result<pb::Member, Status> {
        self.check_new(&urls, learner)?;
        match self {
            Self::Alone(_) => {
                Err(Status::unimplemented("etcdserver: this server is its cluster's only member"))
            }
            #[cfg(feature = "raft")]
            Self::Raft(store) => {
                let id = fastrand::u64(1..);
                let member = MemberInfo { id, peer_urls: urls, learner, ..MemberInfo::default() };
                change(store, MemberChange::Add(member.clone())).await?;
                Ok(to_wire(member))
            }
        }
    }

    /// Removes a member.
    pub(super) async fn remove(&self, id: u64) -> Result<(), Status> {
        self.find(id)?;
        self.check_rest(id)?;
        match self {
            Self::Alone(_) => Err(Status::failed_precondition(NOT_ENOUGH)),
            #[cfg(feature = "raft")]
            Self::Raft(store) => change(store, MemberChange::Remove(id)).await,
        }
    }

    /// Says where the others reach a member.
    pub(super) async fn update(&self, id: u64, urls: Vec<String>) -> Result<(), Status> {
        let member = self.find(id)?;
        if member.peer_ur_ls == urls {
            return Ok(());
        }
        self.check_urls(&urls, id)?;
        match self {
            Self::Alone(_) => {
                Err(Status::unimplemented("etcdserver: this server's peer URLs are given when it starts"))
            }
            #[cfg(feature = "raft")]
            Self::Raft(store) => {
                let member = MemberInfo { peer_urls: urls, ..from_wire(member) };
                change(store, MemberChange::Update(member)).await
            }
        }
    }

    /// Gives a learner a vote.
    pub(super) async fn promote(&self, id: u64) -> Result<(), Status> {
        if !self.find(id)?.is_learner {
            return Err(Status::failed_precondition("etcdserver: can only promote a learner member"));
        }
        match self {
            Self::Alone(_) => Ok(()),
            #[cfg(feature = "raft")]
            Self::Raft(store) => change(store, MemberChange::Promote(id)).await,
        }
    }

    /// Lets another member lead; only the leader does so.
    pub(super) async fn move_leader(&self, to: u64) -> Result<(), Status> {
        let stamp = self.stamp();
        if self.view(0).leader != stamp.member {
            return Err(Status::failed_precondition("etcdserver: not leader"));
        }
        if self.find(to).map_or(true, |member| member.is_learner) {
            return Err(Status::failed_precondition("etcdserver: bad leader transferee"));
        }
        match self {
            Self::Alone(_) => Ok(()),
            #[cfg(feature = "raft")]
            Self::Raft(store) => store.transfer_leader(to).await.map_err(convert::status),
        }
    }

    fn find(&self, id: u64) -> Result<pb::Member, Status> {
        let found = self.members().into_iter().find(|member| member.id == id);
        found.ok_or_else(|| Status::not_found("etcdserver: member not found"))
    }

    /// Refuses URLs that are another member's.
    fn check_urls(&self, urls: &[String], id: u64) -> Result<(), Status> {
        let others = self.members();
        let mut others = others.iter().filter(|member| member.id != id);
        if others.any(|member| urls.iter().any(|url| member.peer_ur_ls.contains(url))) {
            return Err(Status::failed_precondition("etcdserver: Peer URLs already exists"));
        }
        Ok(())
    }

    fn check_new(&self, urls: &[String], learner: bool) -> Result<(), Status> {
        self.check_urls(urls, 0)?;
        let members = self.members();
        if learner && members.iter().any(|member| member.is_learner) {
            return Err(Status::failed_precondition("etcdserver: too many learner members in cluster"));
        }
        let voters = voters(&members);
        // One that runs and one that does not may be helped by a third.
        let is_way_out = voters.len() == 2 && started(&voters) == 1;
        if !learner && !is_way_out && started(&voters) < quorum(voters.len() + 1) && voters.len() > 1 {
            return Err(Status::failed_precondition(NOT_ENOUGH));
        }
        Ok(())
    }

    /// Refuses to remove a voter when those that started are not enough without it.
    fn check_rest(&self, id: u64) -> Result<(), Status> {
        let members = self.members();
        let mut voters = voters(&members);
        let before = voters.len();
        voters.retain(|member| member.id != id);
        if voters.len() < before && started(&voters) < quorum(voters.len()).max(1) {
            return Err(Status::failed_precondition(NOT_ENOUGH));
        }
        Ok(())
    }
}

fn voters(members: &[pb::Member]) -> Vec<&pb::Member> {
    members.iter().filter(|member| !member.is_learner).collect()
}

/// Members that have run at least once, for then they said their name.
fn started(members: &[&pb::Member]) -> usize {
    members.iter().filter(|member| !member.name.is_empty()).count()
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(feature = "raft")]
fn to_wire(member: MemberInfo) -> pb::Member {
    let MemberInfo { id, name, peer_urls, client_urls, learner } = member;
    pb::Member { id, name, peer_ur_ls: peer_urls, client_ur_ls: client_urls, is_learner: learner }
}

#[cfg(feature = "raft")]
fn from_wire(member: pb::Member) -> MemberInfo {
    let pb::Member { id, name, peer_ur_ls, client_ur_ls, is_learner } = member;
    MemberInfo { id, name, peer_urls: peer_ur_ls, client_urls: client_ur_ls, learner: is_learner }
}

/// Changes the members, and waits until this member's list of them shows it.
#[cfg(feature = "raft")]
async fn change(store: &RaftStore, change: MemberChange) -> Result<(), Status> {
    store.change_members(vec![change.clone()]).await.map_err(convert::status)?;
    let shows = |members: &[MemberInfo]| match &change {
        MemberChange::Add(new) => members.iter().any(|member| member.id == new.id),
        MemberChange::Remove(id) => members.iter().all(|member| member.id != *id),
        MemberChange::Promote(id) => members.iter().any(|member| member.id == *id && !member.learner),
        MemberChange::Update(new) => {
            members.iter().any(|member| member.id == new.id && member.peer_urls == new.peer_urls)
        }
    };
    // One that removed itself is gone by now, and the change is done.
    let _ = store.wait_for(|status| shows(&status.members)).await;
    Ok(())
}

#[cfg(feature = "raft")]
async fn lose_leader(store: &RaftStore) {
    let patience = 3 * store.election_timeout();
    let mut status = store.watch_status();
    // A member that stopped has no leader either.
    while status.wait_for(|status| status.leader.is_none()).await.is_ok() {
        let found = status.wait_for(|status| status.leader.is_some());
        if tokio::time::timeout(patience, found).await.is_err() {
            return;
        }
    }
}

#[cfg(feature = "raft")]
async fn count_leaders(
    mut status: tokio::sync::watch::Receiver<crate::raft::RaftStatus>,
    metrics: Arc<Metrics>,
) {
    let mut seen = None;
    // One that stopped has no more leaders.
    while let Ok(status) = status.wait_for(|status| status.leader.is_some() && status.leader != seen).await {
        seen = status.leader;
        metrics.leader_changes.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_members_would_be_left() {
        let member = |name: &str| pb::Member { name: name.into(), ..Default::default() };
        let all = [member("a"), member("b"), member("")];
        let all: Vec<_> = all.iter().collect();
        assert_eq!((started(&all), quorum(all.len())), (2, 2));
        assert_eq!(quorum(4), 3);
    }
}
