//! The end of a leader that its group has removed.
//!
//! The change that removes a leader is committed by that leader, and until one of its messages arrives nobody else knows. Where those
//! that stay can decide nothing without it, as the other one of a pair, they would wait for ever if it fell silent and that message
//! was lost. So it goes on to tell them until they know, and takes part in nothing else. If it crashes in between, or they do
//! not hear it for so long, they are left as they would be without this: nobody can tell them then.

use std::collections::BTreeMap;

use protobuf::Message as _;
use raft::prelude::{Message, MessageType};

use super::super::wire::Frame;
use super::Core;
use crate::Error;

/// For how many of the shortest times of an election a leader goes on at most.
const PATIENCE: usize = 10;

/// What a leader that was removed still has to say.
#[derive(Debug)]
pub(super) struct Farewell {
    /// Who is not known to know that the change is committed, and up to where its log is the leader's.
    to: BTreeMap<u64, u64>,
    /// Index of the change.
    change: u64,
    ticks: usize,
}

impl Core {
    /// Begins, if this member leads and has just applied that it was removed. `change` is the index of that.
    pub(super) fn begin_farewell(&mut self, change: u64) {
        if !self.is_leader() || !self.is_out(self.id) {
            return;
        }
        #[cfg(any(test, feature = "testing"))]
        if self.mutation == Some(crate::testing::simulation::Mutation::LeaveAtOnce) {
            return;
        }
        let prs = self.node.raft.prs();
        // Who lacks the change gets it from those.
        let to: BTreeMap<_, _> = prs
            .iter()
            .filter(|(id, progress)| prs.conf().voters().contains(**id) && progress.matched >= change)
            .map(|(id, progress)| (*id, progress.matched))
            .collect();
        self.farewell = (!to.is_empty()).then_some(Farewell { to, change, ticks: 0 });
    }

    /// Whether this member takes part in nothing any more.
    pub(super) fn has_left(&self) -> bool {
        self.told_removed || self.is_out(self.id)
    }

    /// Says again that the change is committed, as often as a leader says that it leads.
    pub(super) fn tick_farewell(&mut self) {
        let Some(farewell) = &mut self.farewell else { return };
        farewell.ticks += 1;
        if farewell.ticks > PATIENCE * self.config.election_ticks {
            self.farewell = None;
        } else if farewell.ticks.is_multiple_of(self.config.heartbeat_ticks) {
            let raft = &self.node.raft;
            let heartbeat = |(to, matched): (&u64, &u64)| {
                let commit = raft.raft_log.committed.min(*matched);
                let mut message =
                    Message { from: raft.id, to: *to, term: raft.term, commit, ..Message::default() };
                message.set_msg_type(MessageType::MsgHeartbeat);
                message
            };
            let messages: Vec<_> = farewell.to.iter().map(heartbeat).collect();
            for message in messages {
                if let Ok(bytes) = message.write_to_bytes() {
                    let frame = self.outgoing(message.to, &Frame::Raft(bytes.into()));
                    self.outbox.push(frame);
                }
            }
        }
    }

    /// Takes a frame meanwhile: its sender may say that it knows.
    pub(super) fn hear_farewell(&mut self, from: u64, frame: &Frame) {
        let (Some(farewell), Frame::Raft(bytes)) = (&mut self.farewell, frame) else { return };
        let knows = |message: Message| message.from == from && message.commit >= farewell.change;
        if Message::parse_from_bytes(bytes).is_ok_and(knows) {
            farewell.to.remove(&from);
        }
        if farewell.to.is_empty() {
            self.farewell = None;
        }
    }
}

/// What clients hear of a member that was removed.
pub(crate) fn removed() -> Error {
    Error::Unavailable { reason: "the member has been removed from the cluster".into() }
}
