//! Who belongs to the group.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{Reader, Writer, damaged};
use crate::{Precondition, Result};

/// One member of a group, as every member knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its number, never 0, never used again once it was removed.
    pub id: u64,
    /// Its name, for people; empty until it is known.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it only follows and has no vote.
    pub learner: bool,
}

impl MemberInfo {
    /// A voter without any address, as in one process.
    pub fn new(id: u64) -> Self {
        Self { id, ..Self::default() }
    }
}

/// One change of who belongs to the group. Several at once are one step: with more than one change of voters, both the old
/// and the new majority have to agree until it is done (joint consensus).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// Adds a member, as a learner if it says so. Give it an empty disk and start it with [`Start::Join`](super::Start).
    Add(MemberInfo),
    /// Gives a learner that caught up a vote.
    Promote(u64),
    /// Changes a member's name and addresses; `learner` is not looked at.
    Update(MemberInfo),
    /// Removes a member; it stops when it hears of that.
    Remove(u64),
}

/// All members, and the numbers of those that were removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) all: BTreeMap<u64, MemberInfo>,
    pub(crate) removed: BTreeSet<u64>,
}

impl Members {
    pub(crate) fn of(members: impl IntoIterator<Item = MemberInfo>) -> Self {
        Self {
            all: members.into_iter().map(|member| (member.id, member)).collect(),
            removed: BTreeSet::new(),
        }
    }

    /// The members after `changes`; refuses the changes as a whole when one makes no sense.
    pub(crate) fn after(&self, changes: &[MemberChange]) -> Result<Self> {
        let mut next = self.clone();
        for change in changes {
            next.change(change)?;
        }
        if next.all.values().any(|member| !member.learner) {
            Ok(next)
        } else {
            Err(Precondition::LastVoter.into())
        }
    }

    fn change(&mut self, change: &MemberChange) -> Result<()> {
        match change {
            MemberChange::Add(member) => {
                let known = self.all.contains_key(&member.id) || self.removed.contains(&member.id);
                if member.id == 0 || known {
                    return Err(Precondition::MemberExists(member.id).into());
                }
                self.all.insert(member.id, member.clone());
            }
            MemberChange::Promote(id) => {
                let member = self.member(*id)?;
                if !member.learner {
                    return Err(Precondition::NotLearner(*id).into());
                }
                member.learner = false;
            }
            MemberChange::Update(member) => {
                let old = self.member(member.id)?;
                *old = MemberInfo { learner: old.learner, ..member.clone() };
            }
            MemberChange::Remove(id) => {
                self.member(*id)?;
                self.all.remove(id);
                self.removed.insert(*id);
            }
        }
        Ok(())
    }

    fn member(&mut self, id: u64) -> Result<&mut MemberInfo> {
        self.all.get_mut(&id).ok_or_else(|| Precondition::MemberNotFound(id).into())
    }

    pub(super) fn put(&self, w: &mut Writer) {
        w.len(self.all.len());
        self.all.values().for_each(|member| put_member(w, member));
        w.len(self.removed.len());
        self.removed.iter().for_each(|id| w.u64(*id));
    }

    pub(super) fn take(r: &mut Reader) -> Result<Self> {
        let all = r.list(take_member)?.into_iter().map(|member| (member.id, member)).collect();
        Ok(Self { all, removed: r.list(Reader::u64)?.into_iter().collect() })
    }
}

fn put_member(w: &mut Writer, member: &MemberInfo) {
    w.u64(member.id);
    w.bytes(member.name.as_bytes());
    for urls in [&member.peer_urls, &member.client_urls] {
        w.list(urls, |w, url| w.bytes(url.as_bytes()));
    }
    w.bool(member.learner);
}

fn take_member(r: &mut Reader) -> Result<MemberInfo> {
    Ok(MemberInfo {
        id: r.u64()?,
        name: r.text()?,
        peer_urls: r.list(Reader::text)?,
        client_urls: r.list(Reader::text)?,
        learner: r.bool()?,
    })
}

pub(super) fn put_change(w: &mut Writer, change: &MemberChange) {
    match change {
        MemberChange::Add(member) => {
            w.u8(0);
            put_member(w, member);
        }
        MemberChange::Promote(id) => {
            w.u8(1);
            w.u64(*id);
        }
        MemberChange::Update(member) => {
            w.u8(2);
            put_member(w, member);
        }
        MemberChange::Remove(id) => {
            w.u8(3);
            w.u64(*id);
        }
    }
}

pub(super) fn take_change(r: &mut Reader) -> Result<MemberChange> {
    Ok(match r.u8()? {
        0 => MemberChange::Add(take_member(r)?),
        1 => MemberChange::Promote(r.u64()?),
        2 => MemberChange::Update(take_member(r)?),
        3 => MemberChange::Remove(r.u64()?),
        _ => return Err(damaged()),
    })
}
