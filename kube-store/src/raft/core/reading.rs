//! Linearizable reads of this member's clients, and of other members'.

use raft::ReadState;
use raft::prelude::{Message, MessageType};
use tokio::time::Instant;

use super::super::wire::Frame;
use super::Core;

/// What the `raft` crate calls a vote that is asked for on behalf of the leader.
const ON_BEHALF: &[u8] = raft::CAMPAIGN_TRANSFER;

impl Core {
    /// Answers those who wait if this member knows that it leads, and else asks the leader for them.
    pub(super) fn ask_reads(&mut self, now: Instant) {
        if self.node.raft.leader_id == 0 || !self.reads.wait() {
            return;
        }
        let mut ask = true;
        if self.leads_surely(now) {
            self.reads.grant(self.node.raft.raft_log.committed);
            let applied = self.applied().index;
            self.released.append(&mut self.reads.release(applied));
            // Early enough that nobody has to wait for it.
            ask = self.lease.is_due(now) && !self.reads.is_asking();
        }
        if ask {
            let context = self.reads.ask(self.id, self.nonce, now);
            self.node.read_index(context);
        }
    }

    pub(super) fn answer_read(&mut self, read: &ReadState) {
        let round = self.reads.answer(&read.request_ctx, read.index, self.id, self.nonce);
        if let Some(round) = round
            && self.is_leader()
        {
            self.lease.renew(self.node.raft.term, round.number, round.since);
        }
    }

    /// Whether nobody else can lead now, so that this member's log is the newest.
    pub(super) fn leads_surely(&self, now: Instant) -> bool {
        self.is_leader() && self.lease.holds(self.node.raft.term, now)
    }

    /// Answers another member's question at once if that can be; else the `raft` crate has to see it.
    pub(super) fn answer_alone(&mut self, message: &mut Message, now: Instant) -> bool {
        if message.get_msg_type() != MessageType::MsgReadIndex || !self.leads_surely(now) {
            return false;
        }
        let raft = &self.node.raft;
        let mut answer = Message {
            from: self.id,
            to: message.from,
            term: raft.term,
            index: raft.raft_log.committed,
            entries: message.take_entries(),
            ..Message::default()
        };
        answer.set_msg_type(MessageType::MsgReadIndexResp);
        if let Ok(bytes) = protobuf::Message::write_to_bytes(&answer) {
            let frame = self.outgoing(message.from, &Frame::Raft(bytes.into()));
            self.outbox.push(frame);
        }
        true
    }

    /// Whether a vote is asked for that must not be given: because a leader still counts on that, or to somebody who lacks what
    /// this member has lost.
    pub(super) fn must_not_vote(&self, message: &Message) -> bool {
        let asks =
            matches!(message.get_msg_type(), MessageType::MsgRequestVote | MessageType::MsgRequestPreVote);
        let counted_on = message.context != ON_BEHALF && self.lease.is_bound();
        asks && (counted_on || self.has_too_little(message))
    }

    /// Notes what a message that was taken means for this member's reads and votes.
    pub(super) fn after_message(&mut self, of_leader: bool, term: u64) {
        if of_leader && term == self.node.raft.term {
            self.lease.heard();
        }
        if self.node.raft.lead_transferee.is_some() {
            self.lease.hand_over(self.node.raft.term);
        }
    }

    /// What was answered before means nothing any more: another term, or other voters.
    pub(super) fn give_up_lease(&mut self) {
        self.lease.give_up(self.reads.asked());
    }
}
