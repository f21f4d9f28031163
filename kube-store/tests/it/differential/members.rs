//! Who belongs to the cluster, and who leads it.

use tonic::{Response, Status};

use super::side::{Answer, Side, answer, header};
use super::traffic::Kind;
use crate::wire::etcdserverpb as pb;

/// Whose number a call names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    /// The member that is asked.
    Own,
    /// The learner that was added last; it may have been removed.
    Learner,
    Stranger,
}

/// A call about members. There are never two voters, since one that does not run would stop the other.
#[derive(Debug, Clone)]
pub(super) enum Membership {
    List {
        linearizable: bool,
    },
    AddLearner(Vec<String>),
    /// A voter at the address of the first member, which is refused.
    AddTwin,
    Update(Who, Vec<String>),
    /// This member, with the addresses of the learner that was added last.
    Collide,
    Remove(Who),
    Promote(Who),
    Lead(Who),
}

/// What is no address.
const WRONG: [&str; 6] =
    ["", "127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:1/path", "ftp://127.0.0.1:1", "http://"];

/// The number of nobody.
const STRANGER: u64 = 4711;

impl Membership {
    /// A call that the server of this kind understands.
    pub(super) fn any(rng: &mut fastrand::Rng, kind: Kind) -> Self {
        match (rng.u32(0..12), kind) {
            (0, _) => Self::List { linearizable: rng.bool() },
            (1, _) => Self::AddTwin,
            (2..4, _) => Self::Lead(who(rng, kind)),
            (4, Kind::Group) if rng.bool() => Self::AddLearner(wrong(rng)),
            (..5, _) => Self::Promote(who(rng, kind)),
            (5.., Kind::Alone) => Self::Remove(who(rng, kind)),
            (5.., Kind::Group) => Self::change(rng),
        }
    }

    /// A change of members that only root may ask for.
    pub(super) fn change(rng: &mut fastrand::Rng) -> Self {
        match rng.u32(0..8) {
            0..2 => Self::AddLearner(urls(rng)),
            // etcd forgets that one is a learner when its addresses are changed.
            2..4 => Self::Update(who(rng, Kind::Alone), urls(rng)),
            4..6 => Self::Remove(who(rng, Kind::Group)),
            6 => Self::Collide,
            _ => Self::Promote(who(rng, Kind::Group)),
        }
    }
}

fn who(rng: &mut fastrand::Rng, kind: Kind) -> Who {
    match (rng.u32(0..4), kind) {
        (0, _) => Who::Own,
        (1, _) | (_, Kind::Alone) => Who::Stranger,
        _ => Who::Learner,
    }
}

/// Addresses where nobody is, seldom the same twice: etcd makes a member's number of them and the time in seconds.
fn urls(rng: &mut fastrand::Rng) -> Vec<String> {
    let url = |rng: &mut fastrand::Rng| {
        let (scheme, host) = (["http", "https"][rng.usize(0..2)], ["127.0.0.1", "[::1]"][rng.usize(0..2)]);
        format!("{scheme}://{host}:{}", rng.u16(1..1024))
    };
    (0..rng.usize(1..3)).map(|_| url(rng)).collect()
}

/// Some of which at least one is none; or none at all.
fn wrong(rng: &mut fastrand::Rng) -> Vec<String> {
    if rng.u32(0..4) == 0 {
        return Vec::new();
    }
    let mut urls = urls(rng);
    urls.push(WRONG[rng.usize(0..WRONG.len())].to_owned());
    urls
}

/// What a side's members are called.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    own: u64,
    learner: Option<u64>,
    learner_urls: Vec<String>,
    /// Where the member was in the beginning.
    url: String,
}

impl Names {
    /// Learns them while there is one member.
    pub(super) fn of(list: pb::MemberListResponse) -> Self {
        let own = list.header.unwrap().member_id;
        let urls = list.members.into_iter().flat_map(|member| member.peer_ur_ls);
        Self { own, url: urls.last().unwrap_or_default(), ..Self::default() }
    }

    fn number(&self, who: Who) -> u64 {
        match who {
            Who::Own => self.own,
            Who::Learner => self.learner.unwrap_or(STRANGER),
            Who::Stranger => STRANGER,
        }
    }

    fn make_equal(&self, member: &mut pb::Member) {
        member.id = if member.id == self.own { 1 } else { 2 };
        // Where clients find it, a member says itself once it has started.
        member.client_ur_ls.clear();
        for url in member.peer_ur_ls.iter_mut().filter(|url| **url == self.url) {
            *url = "the first".into();
        }
    }

    fn make_all_equal(&self, members: &mut [pb::Member]) {
        members.iter_mut().for_each(|member| self.make_equal(member));
        // They are sorted by their numbers, which were random.
        members.sort_by_key(|member| member.id);
    }
}

/// Asks, and answers with members and header made equal.
macro_rules! ask {
    ($side:ident, $method:ident, $request:expr) => {{
        let names = $side.names.clone();
        let found = $side.cluster.$method($request).await;
        answer(found, |m| {
            names.make_all_equal(&mut m.members);
            header(&mut m.header).filter(|revision| *revision > 0)
        })
    }};
}

impl Side {
    pub(super) async fn membership(&mut self, call: Membership) -> Answer {
        match call {
            Membership::List { linearizable } => {
                ask!(self, member_list, pb::MemberListRequest { linearizable })
            }
            Membership::AddLearner(urls) => self.add(urls, true).await,
            Membership::AddTwin => {
                let list = self.cluster.member_list(pb::MemberListRequest::default()).await;
                let mut members = list.unwrap().into_inner().members;
                members.sort_by_key(|member| member.is_learner);
                self.add(members.swap_remove(0).peer_ur_ls, false).await
            }
            Membership::Update(who, urls) => {
                let id = self.names.number(who);
                ask!(self, member_update, pb::MemberUpdateRequest { id, peer_ur_ls: urls })
            }
            Membership::Collide => {
                let (id, peer_ur_ls) = (self.names.own, self.names.learner_urls.clone());
                if peer_ur_ls.is_empty() {
                    return Answer { revision: None, result: Ok(String::new()) };
                }
                ask!(self, member_update, pb::MemberUpdateRequest { id, peer_ur_ls })
            }
            Membership::Remove(who) => {
                let request = pb::MemberRemoveRequest { id: self.names.number(who) };
                let mut told = ask!(self, member_remove, request);
                if let Err(error) = &mut told.result
                    && error.ends_with("not enough started members")
                {
                    // Its code is another in 3.5.
                    *error = "too few would be left".into();
                }
                told
            }
            Membership::Promote(who) => {
                ask!(self, member_promote, pb::MemberPromoteRequest { id: self.names.number(who) })
            }
            Membership::Lead(who) => {
                let request = pb::MoveLeaderRequest { target_id: self.names.number(who) };
                answer(self.maintenance.move_leader(request).await, |m| header(&mut m.header))
            }
        }
    }

    async fn add(&mut self, peer_ur_ls: Vec<String>, is_learner: bool) -> Answer {
        let request = pb::MemberAddRequest { peer_ur_ls: peer_ur_ls.clone(), is_learner };
        let added: Result<Response<pb::MemberAddResponse>, Status> = self.cluster.member_add(request).await;
        if let Ok(added) = &added {
            assert!(is_learner, "a second voter was added");
            self.names.learner_urls = peer_ur_ls;
            self.names.learner = added.get_ref().member.as_ref().map(|member| member.id);
        }
        answer(added, |m| {
            m.member.iter_mut().for_each(|member| self.names.make_equal(member));
            self.names.make_all_equal(&mut m.members);
            header(&mut m.header).filter(|revision| *revision > 0)
        })
    }
}
