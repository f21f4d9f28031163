//! What time does to a member.

use raft::SnapshotStatus;
use tokio::time::Instant;

use super::super::command::{Command, RequestId};
use super::Core;
use super::inputs::{Origin, Place};
use crate::mvcc::State;

/// Leases that a leader asks to end at once.
const EXPIRE_AT_ONCE: usize = 64;
/// Leases of which one command notes what is left, as etcd's.
const CHECKPOINT_AT_ONCE: usize = 1000;
/// Ticks after which what is applied becomes durable even if nothing else has to.
const QUIET: usize = 5;

impl Core {
    /// One tick of the clock.
    pub(crate) fn tick(&mut self, state: &mut State, now: Instant) {
        if self.has_left() {
            return self.tick_farewell();
        }
        if self.lacks() {
            self.wait_for_leader();
        }
        self.node.tick();
        self.lease.tick();
        self.set_timeout();
        let patience = self.config.election_ticks;
        self.reads.tick(patience);
        self.place_again(patience, state, now);
        self.tick_transfers(patience, state);
        if self.is_leader() {
            self.expire(state, now);
            self.checkpoint(state, now);
        }
        self.quiet_ticks += 1;
        self.flush |= self.quiet_ticks >= QUIET;
    }

    /// Lets enough time pass to vote for another, and never so much that this member asks for votes.
    fn wait_for_leader(&mut self) {
        let (ticks, raft) = (self.config.election_ticks, &mut self.node.raft);
        raft.set_randomized_election_timeout(2 * ticks - 1);
        raft.election_elapsed = raft.election_elapsed.min(ticks - 1);
    }

    /// Requests that are still here go to the leader, if there is one; those that may have been lost on the way go again.
    fn place_again(&mut self, patience: usize, state: &mut State, now: Instant) {
        let mut again = Vec::new();
        for (number, proposal) in &mut self.proposals.0 {
            match &mut proposal.place {
                Place::Here => again.push(*number),
                Place::Sent { ticks, .. } => {
                    *ticks += 1;
                    if *ticks >= patience {
                        again.push(*number);
                    }
                }
                Place::Logged { .. } => {}
            }
        }
        again.into_iter().for_each(|number| self.place(number, state, now));
    }

    fn tick_transfers(&mut self, patience: usize, state: &State) {
        let ticked = self.transfers.tick(patience, state, self.config.chunk_bytes);
        for (to, frame) in &ticked.resend {
            let again = self.outgoing(*to, frame);
            self.outbox.push(again);
        }
        for to in ticked.failed {
            self.node.report_snapshot(to, SnapshotStatus::Failure);
        }
    }

    /// A new leader gives all leases some time, and forgets what an earlier one was about to end.
    pub(super) fn take_up_lead(&mut self, state: &mut State, now: Instant) {
        let leading = self.is_leader().then_some(self.node.raft.term);
        if leading != self.leading {
            self.leading = leading;
            self.expiring.clear();
            self.transfers.stop();
            self.give_up_lease();
            self.checkpointed = now;
            if leading.is_some() {
                state.promote_leases(now);
            }
        }
    }

    /// Notes what is left of long leases now and then, on every member: one that starts or joins has not seen how they went. A new
    /// leader waits for as long before: by then it has heard of all renewals that those before it took.
    fn checkpoint(&mut self, state: &State, now: Instant) {
        let Some(interval) = self.config.store.lease_checkpoints else { return };
        if now.saturating_duration_since(self.checkpointed) < interval {
            return;
        }
        self.checkpointed = now;
        let all: Vec<_> = state.long_leases(interval, now).collect();
        for part in all.chunks(CHECKPOINT_AT_ONCE) {
            let command = Command::Checkpoint(part.to_vec()).encode(RequestId::default());
            self.stage(command, Origin::Checkpoint);
        }
    }

    /// Asks for leases to end whose time is over. Every member ends them when it applies that, so all agree on when.
    fn expire(&mut self, state: &State, now: Instant) {
        let due: Vec<i64> =
            state.leases_due(now).filter(|id| !self.expiring.contains(id)).take(EXPIRE_AT_ONCE).collect();
        for id in due {
            let nobody = RequestId::default();
            self.stage(Command::Revoke(id).encode(nobody), Origin::Lease(id));
            self.expiring.insert(id);
        }
    }
}
