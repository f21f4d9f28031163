//! What follows from the log.

use std::collections::BTreeMap;

use bytes::Bytes;
use protobuf::Message as _;
use raft::prelude::{ConfChangeSingle, ConfChangeType, ConfChangeV2, Entry, EntryType, Ready};
use tokio::time::Instant;

use super::super::MemberChange;
use super::super::command::{Answer, Command};
use super::super::record::Position;
use super::Core;
use crate::engine::Batch;
use crate::mvcc::{Change, State};
use crate::{Error, Result};

impl Core {
    /// Entries that the group has committed.
    pub(super) fn committed(&self, ready: &mut Ready, _appended: &[Entry]) -> Vec<Entry> {
        #[cfg(any(test, feature = "testing"))]
        if self.mutation == Some(crate::testing::simulation::Mutation::ApplyUncommitted) {
            return _appended.to_vec();
        }
        ready.take_committed_entries()
    }

    /// Applies entries in turn. Fails when an entry does not make sense to this member, which then must stop: going on
    /// without it would make its state another than that of the others.
    pub(super) fn apply(&mut self, entries: Vec<Entry>, state: &mut State, now: Instant) -> Result<()> {
        #[cfg(any(test, feature = "testing"))]
        let entries = self.tampered(entries);
        for entry in entries {
            let at = Position { index: entry.index, term: entry.term };
            if at.index <= self.applied().index {
                continue;
            }
            if at.term > self.applied().term {
                self.proposals.begin_term(at.term);
            }
            self.apply_entry(entry, state, now)?;
            state.publish(i64::MAX);
            self.node.mut_store().applied.at = at;
        }
        Ok(())
    }

    fn apply_entry(&mut self, mut entry: Entry, state: &mut State, now: Instant) -> Result<()> {
        let encoded = match entry.get_entry_type() {
            EntryType::EntryNormal => entry.take_data(),
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => entry.take_context(),
        };
        if encoded.is_empty() {
            // A leader's first entry, or the end of a joint step of members.
            if entry.get_entry_type() == EntryType::EntryConfChangeV2 {
                self.leave_joint()?;
                self.begin_farewell(entry.index);
            }
            return Ok(());
        }
        let (request, command) = Command::decode(encoded)?;
        let answer = match command {
            Command::Members(changes) => self.apply_members(&changes, &entry),
            command => {
                self.sweeping |= matches!(command, Command::Compact(_));
                if let Command::Revoke(id) = command {
                    self.expiring.remove(&id);
                }
                command.apply(state, now)
            }
        };
        if (request.member, request.nonce) == (self.id, self.nonce) {
            self.proposals.done(request.number);
            self.answers.push((request.number, answer));
        }
        Ok(())
    }

    fn apply_members(&mut self, changes: &[MemberChange], entry: &Entry) -> Result<Answer> {
        let next = self.members().after(changes)?;
        if conf_change(changes).is_some() {
            let change = ConfChangeV2::parse_from_bytes(&entry.data).map_err(|_| refused())?;
            let conf = self.node.apply_conf_change(&change).map_err(|_| refused())?;
            self.node.mut_store().applied.conf = conf;
            self.give_up_lease();
        }
        self.node.mut_store().applied.members = next;
        self.begin_farewell(entry.index);
        Ok(Answer::Members)
    }

    /// Two leaders in turn may each have asked for it.
    fn leave_joint(&mut self) -> Result<()> {
        if self.node.store().applied.conf.voters_outgoing.is_empty() {
            return Ok(());
        }
        let left = self.node.apply_conf_change(&ConfChangeV2::default());
        let conf = left.map_err(|error| Error::corrupt(error.to_string()))?;
        self.node.mut_store().applied.conf = conf;
        self.give_up_lease();
        Ok(())
    }
}

fn refused() -> Error {
    Error::Unavailable { reason: "the change of members is not possible".into() }
}

/// What changes of the members mean to the `raft` crate; `None` when only names and addresses change.
pub(super) fn conf_change(changes: &[MemberChange]) -> Option<ConfChangeV2> {
    let single = |kind, node_id| {
        let mut change = ConfChangeSingle { node_id, ..ConfChangeSingle::default() };
        change.set_change_type(kind);
        change
    };
    let changes: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            MemberChange::Add(member) if member.learner => {
                Some(single(ConfChangeType::AddLearnerNode, member.id))
            }
            MemberChange::Add(member) => Some(single(ConfChangeType::AddNode, member.id)),
            MemberChange::Promote(id) => Some(single(ConfChangeType::AddNode, *id)),
            MemberChange::Remove(id) => Some(single(ConfChangeType::RemoveNode, *id)),
            MemberChange::Update(_) => None,
        })
        .collect();
    (!changes.is_empty()).then(|| ConfChangeV2 { changes: changes.into(), ..ConfChangeV2::default() })
}

/// Adds what the commands applied since the last batch did to the store's records. A lease or a record may have come and gone in
/// between, and a batch must not hold a key twice.
pub(super) fn put_changes(state: &mut State, batch: &mut Batch) {
    let (_, changes) = state.take_changes();
    let mut last = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        if let Some(key) = key(change) {
            last.insert(key, at);
        }
    }
    for (at, change) in changes.iter().enumerate() {
        if key(change).is_none_or(|key| last.get(&key) == Some(&at)) {
            change.encode(batch);
        }
    }
}

/// Names the record of a change that can be there several times.
fn key(change: &Change) -> Option<(u8, i64, Bytes)> {
    match change {
        Change::Grant { id, .. } | Change::Revoke { id } => Some((b'l', *id, Bytes::new())),
        Change::Compact { .. } => Some((b'm', 0, Bytes::new())),
        Change::Format => Some((b'f', 0, Bytes::new())),
        Change::Record { key, .. } => Some((b's', 0, key.clone())),
        // Versions are written once.
        Change::Write { .. } | Change::Drop { .. } => None,
    }
}
