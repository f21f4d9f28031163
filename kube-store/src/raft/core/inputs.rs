//! What comes in: requests of this member's clients, and frames of other members.

use std::collections::BTreeMap;

use bytes::Bytes;
use protobuf::Message as _;
use raft::SnapshotStatus;
use raft::prelude::{Entry, Message, MessageType};
use tokio::time::Instant;

use super::super::MemberChange;
use super::super::command::{Command, RequestId};
use super::super::transfer::{Chunk, Limits};
use super::super::wire::{Frame, Refusal};
use super::apply::conf_change;
use super::farewell::removed;
use super::{Core, StateRole};
use crate::mvcc::State;
use crate::{Error, Precondition, Result};

/// Commands that wait while another member is being made the leader; more are refused.
const HELD: usize = 4096;

/// Requests of this member's clients that were not answered yet, by number.
#[derive(Debug, Default)]
pub(super) struct Proposals(pub(super) BTreeMap<u64, Proposal>);

/// One of them.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) command: Bytes,
    pub(super) place: Place,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Here: no leader is known that could be asked.
    Here,
    /// On its way to the leader of this term. It may be sent there again, for a leader takes each only once; but to another
    /// only when it is certain that it is not in the log.
    Sent { term: u64, ticks: usize },
    /// In the log of this member, which led this term.
    Logged { term: u64 },
}

impl Place {
    fn term(self) -> u64 {
        match self {
            Self::Here => u64::MAX,
            Self::Sent { term, .. } | Self::Logged { term } => term,
        }
    }
}

/// A command that this member, leading, is about to put into the log.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) entry: Entry,
    pub(super) origin: Origin,
}

/// Who hears when that fails.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    /// A client of this member.
    Here(u64),
    /// A client of another, which sent it to the leader of a term.
    From(u64, RequestId),
    /// Nobody: this leader asked for the end of a lease, and asks again.
    Lease(i64),
    /// Nobody: this leader notes what is left of leases.
    Checkpoint,
}

impl Proposals {
    pub(super) fn done(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// An entry of `term` is being applied: no entry of an earlier one can follow, so what was not applied by now never
    /// will be, and may be asked for again.
    pub(super) fn begin_term(&mut self, term: u64) {
        for proposal in self.0.values_mut().filter(|proposal| proposal.place.term() < term) {
            proposal.place = Place::Here;
        }
    }

    /// A snapshot up to an entry of `term` was put in place: it may hold what these asked for, without their answers.
    pub(super) fn skip(&mut self, term: u64) -> Vec<u64> {
        let skipped = self.0.extract_if(.., |_, proposal| proposal.place.term() <= term);
        skipped.map(|(number, _)| number).collect()
    }
}

impl Core {
    /// Asks for a command; the answer comes with a later [`Work`](super::Work), with this number, or never. Numbers rise.
    pub(crate) fn propose(&mut self, number: u64, command: &Command, state: &mut State, now: Instant) {
        if self.has_left() {
            return self.answers.push((number, Err(removed())));
        }
        let request = RequestId { member: self.id, nonce: self.nonce, number };
        self.proposals.0.insert(number, Proposal { command: command.encode(request), place: Place::Here });
        self.place(number, state, now);
    }

    /// Gives up waiting; the command may be done all the same.
    pub(crate) fn cancel(&mut self, number: u64) {
        self.proposals.done(number);
    }

    /// Asks when the state of this member holds everything that was committed when this was called.
    pub(crate) fn read(&mut self, token: u64) {
        #[cfg(any(test, feature = "testing"))]
        if self.mutation == Some(crate::testing::simulation::Mutation::StaleRead) {
            return self.released.push(token);
        }
        self.reads.add(token);
    }

    /// Asks the leader to let another member lead.
    pub(crate) fn transfer_leader(&mut self, to: u64) {
        if self.has_left() {
            return;
        }
        self.node.transfer_leader(to);
        self.after_message(false, 0);
        self.set_timeout();
    }

    /// Another member says that the group has removed this one: it cannot hear of that in the log, for nobody sends it any.
    pub(crate) fn was_removed(&mut self) {
        self.told_removed = true;
    }

    /// Takes a frame. One that is damaged or makes no sense is dropped, as if it had been lost.
    pub(crate) fn step(&mut self, frame: Bytes, state: &mut State, now: Instant) {
        match Frame::decode(frame, self.config.cluster) {
            Ok((from, frame)) if self.has_left() => self.hear_farewell(from, &frame),
            Ok((from, frame)) if from != self.id && !self.is_out(from) => {
                self.step_frame(from, frame, state, now);
                self.set_timeout();
            }
            Ok((from, _)) => tracing::debug!(from, "dropped a frame of a member that does not belong here"),
            Err(error) => tracing::warn!(%error, "dropped a frame"),
        }
    }

    fn step_frame(&mut self, from: u64, frame: Frame, state: &mut State, now: Instant) {
        match frame {
            Frame::Raft(bytes) => match Message::parse_from_bytes(&bytes) {
                // A snapshot comes in parts, which end in such a message.
                Ok(message) if message.get_msg_type() == MessageType::MsgSnapshot => {}
                Ok(message) => self.step_message(from, message, now),
                Err(error) => tracing::warn!(from, %error, "dropped a message"),
            },
            Frame::Forward { term, request, command } => {
                self.forwarded(from, term, request, command, state, now)
            }
            Frame::Refused { term, request, reason } => self.refused(term, request, reason, state, now),
            Frame::Chunk { transfer: id, offset, last, data } => {
                self.take_chunk(Chunk { from, id, offset, last, data }, now);
            }
            Frame::ChunkReceived { transfer, offset } => {
                match self.transfers.received(from, transfer, offset, state, self.config.chunk_bytes) {
                    Some(frames) => {
                        let frames: Vec<_> = frames.iter().map(|frame| self.outgoing(from, frame)).collect();
                        self.outbox.extend(frames);
                    }
                    None => self.node.report_snapshot(from, SnapshotStatus::Finish),
                }
            }
        }
    }

    fn take_chunk(&mut self, chunk: Chunk, now: Instant) {
        // One after the other: what arrives next is for a member that has put this one in place.
        if self.is_taking_snapshot() {
            return;
        }
        let (from, id) = (chunk.from, chunk.id);
        let quota = self.config.store.quota_bytes.saturating_mul(4);
        let limits = Limits { bytes: quota, record: usize::try_from(quota).unwrap_or(usize::MAX) };
        let (offset, whole) = self.transfers.take(chunk, limits, now);
        let received = self.outgoing(from, &Frame::ChunkReceived { transfer: id, offset });
        self.outbox.push(received);
        if let Some((message, arrived)) = whole {
            self.step_message(from, message, now);
            self.expect(arrived);
        }
    }

    fn step_message(&mut self, from: u64, mut message: Message, now: Instant) {
        // Proposals come as frames of ours, which are taken only once.
        if message.from != from || message.to != self.id || message.get_msg_type() == MessageType::MsgPropose
        {
            return;
        }
        if self.must_not_vote(&message) || self.answer_alone(&mut message, now) {
            return;
        }
        if message.get_msg_type() == MessageType::MsgTimeoutNow && self.lacks() {
            return;
        }
        if message.get_msg_type() == MessageType::MsgHeartbeat {
            // A member that lost its log while a snapshot was being put in place has less than its leader remembers.
            let is_known = message.commit <= self.node.raft.raft_log.last_index();
            message.commit = if is_known { message.commit } else { 0 };
        }
        let (term, of_leader) = (message.term, is_of_leader(&message));
        if let Err(error) = self.node.step(message) {
            tracing::debug!(from, %error, "a message was not taken");
        }
        self.after_message(of_leader, term);
    }

    /// Puts a request of this member where it can be answered.
    pub(super) fn place(&mut self, number: u64, state: &mut State, now: Instant) {
        let Some(proposal) = self.proposals.0.get(&number) else { return };
        let (command, place) = (proposal.command.clone(), proposal.place);
        let (term, leader) = (self.node.raft.term, self.node.raft.leader_id);
        let request = RequestId { member: self.id, nonce: self.nonce, number };
        let next = match place {
            Place::Here if self.is_leader() => match self.take(&command, Origin::Here(number), state, now) {
                Ok(()) => Place::Logged { term },
                Err(reason) => return self.refuse(Origin::Here(number), reason),
            },
            Place::Here if leader != 0 && leader != self.id => {
                let forward = self.outgoing(leader, &Frame::Forward { term, request, command });
                self.outbox.push(forward);
                Place::Sent { term, ticks: 0 }
            }
            Place::Sent { term: sent, .. } if sent == term && leader != 0 && leader != self.id => {
                let forward = self.outgoing(leader, &Frame::Forward { term, request, command });
                self.outbox.push(forward);
                Place::Sent { term, ticks: 0 }
            }
            place => place,
        };
        if let Some(proposal) = self.proposals.0.get_mut(&number) {
            proposal.place = next;
        }
    }

    /// Takes a command for the leader's log.
    fn take(
        &mut self,
        encoded: &Bytes,
        origin: Origin,
        state: &mut State,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (_, command) = Command::decode(encoded.clone()).map_err(|_| Refusal::NotNow)?;
        if let Command::Members(changes) = &command
            && let Some(change) = conf_change(changes)
        {
            self.may_change(changes)?;
            let proposed = self.node.propose_conf_change(encoded.to_vec(), change);
            return proposed.map_err(|_| Refusal::Busy);
        }
        self.stage(encoded.clone(), origin);
        if let Command::KeepAlive(id) = command {
            // From here on this leader does not ask for the lease to end, so that no end follows a renewal in the log.
            state.extend_lease(id, now);
        }
        Ok(())
    }

    pub(super) fn stage(&mut self, command: Bytes, origin: Origin) {
        let entry = Entry { data: command, ..Entry::default() };
        self.staged.push(Staged { entry, origin });
    }

    /// Puts everything that came in together into the log, so that it travels together.
    pub(super) fn log_staged(&mut self) {
        let hands_over = self.is_leader() && self.node.raft.lead_transferee.is_some();
        // While another is being made the leader nothing is taken, and that ends soon, one way or the other.
        if self.staged.is_empty() || (hands_over && self.staged.len() < HELD) {
            return;
        }
        let (entries, origins): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.staged).into_iter().map(|staged| (staged.entry, staged.origin)).unzip();
        let mut message = Message { from: self.id, entries: entries.into(), ..Message::default() };
        message.set_msg_type(MessageType::MsgPropose);
        // A follower would pass it on, and nothing but frames of ours may be passed on.
        let logged = self.is_leader() && self.node.step(message).is_ok();
        if !logged {
            let reason = if self.is_leader() { Refusal::Busy } else { Refusal::NotLeader };
            origins.into_iter().for_each(|origin| self.refuse(origin, reason));
        }
    }

    /// A proposal of another member's client.
    fn forwarded(
        &mut self,
        from: u64,
        term: u64,
        request: RequestId,
        command: Bytes,
        state: &mut State,
        now: Instant,
    ) {
        let is_known = Command::decode(command.clone()).is_ok_and(|(inner, _)| inner == request);
        if request.member != from || !is_known || self.window_has(term, request) {
            return;
        }
        let reason = if self.is_leader() && self.node.raft.term == term {
            self.window.add(term, request);
            match self.take(&command, Origin::From(term, request), state, now) {
                Ok(()) => return,
                Err(reason) => reason,
            }
        } else if term > self.boot_term && self.window.knows(term) {
            Refusal::NotLeader
        } else {
            // This member may have taken it, in an earlier life or when it led that term.
            return;
        };
        self.refuse(Origin::From(term, request), reason);
    }

    fn window_has(&self, term: u64, request: RequestId) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if self.mutation == Some(crate::testing::simulation::Mutation::TakeTwice) {
            return false;
        }
        self.window.has(term, request)
    }

    fn refused(&mut self, term: u64, request: RequestId, reason: Refusal, state: &mut State, now: Instant) {
        let Some(proposal) = self.proposals.0.get_mut(&request.number) else { return };
        let was_sent = matches!(proposal.place, Place::Sent { term: sent, .. } if sent == term);
        if (request.member, request.nonce) != (self.id, self.nonce) || !was_sent {
            return;
        }
        if reason == Refusal::NotLeader {
            proposal.place = Place::Here;
            // At once only if another leader is known by now; else at the next tick, for two members must not keep
            // sending it to and fro.
            if self.node.raft.term != term {
                self.place(request.number, state, now);
            }
        } else {
            self.refuse(Origin::Here(request.number), reason);
        }
    }

    /// Says that a command was not taken.
    fn refuse(&mut self, origin: Origin, reason: Refusal) {
        let number = match origin {
            Origin::Lease(id) => {
                self.expiring.remove(&id);
                return;
            }
            Origin::Checkpoint => return,
            Origin::From(term, request) => {
                let refused = self.outgoing(request.member, &Frame::Refused { term, request, reason });
                return self.outbox.push(refused);
            }
            Origin::Here(number) => number,
        };
        let error = match reason {
            Refusal::NotLeader => {
                // It is placed again at the next tick.
                if let Some(proposal) = self.proposals.0.get_mut(&number) {
                    proposal.place = Place::Here;
                }
                return;
            }
            Refusal::Busy => Error::Unavailable { reason: "too many requests".into() },
            Refusal::NotNow => {
                Error::Unavailable { reason: "another change of the members is under way".into() }
            }
            Refusal::Behind => Precondition::LearnerBehind.into(),
        };
        self.proposals.done(number);
        self.answers.push((number, Err(error)));
    }

    /// Whether a change of the members may begin now: none is under way, and nobody gets a vote who is far behind.
    fn may_change(&self, changes: &[MemberChange]) -> Result<(), Refusal> {
        let raft = &self.node.raft;
        let is_joint = !self.node.store().applied.conf.voters_outgoing.is_empty();
        if raft.state != StateRole::Leader || raft.has_pending_conf() || is_joint {
            return Err(Refusal::NotNow);
        }
        let caught_up = |change: &MemberChange| match change {
            // Whether it is a learner at all is looked at when the change is applied.
            MemberChange::Promote(id) if self.members().all.get(id).is_some_and(|m| m.learner) => {
                let matched = raft.prs().get(*id).map_or(0, |progress| progress.matched);
                // As etcd: nine tenths of the leader's log.
                matched.saturating_mul(10) >= raft.raft_log.committed.saturating_mul(9)
            }
            _ => true,
        };
        if changes.iter().all(caught_up) { Ok(()) } else { Err(Refusal::Behind) }
    }
}

/// Whether only a leader sends such a message.
fn is_of_leader(message: &Message) -> bool {
    let kind = message.get_msg_type();
    matches!(kind, MessageType::MsgHeartbeat | MessageType::MsgAppend | MessageType::MsgSnapshot)
}
