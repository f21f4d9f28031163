//! What a simulation may see of a member, and the faults that it may plant.

use raft::prelude::{Entry, HardState};
use tokio::time::Instant;

use super::super::command::Command;
use super::super::record::Position;
use super::Core;
use crate::Op;
use crate::testing::simulation::Mutation;

impl Core {
    /// Plants a fault.
    pub(crate) fn mutate(&mut self, mutation: Mutation) {
        self.mutation = Some(mutation);
        match mutation {
            Mutation::ForgetVote => self.node.raft.vote = 0,
            Mutation::LongLease => self.lease.lengthen(),
            _ => {}
        }
    }

    /// What a planted fault makes of the entries that are to be applied.
    pub(super) fn tampered(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        if self.mutation == Some(Mutation::SkipRange) {
            entries.iter_mut().for_each(|entry| self.skip_range(entry));
        }
        entries
    }

    fn skip_range(&self, entry: &mut Entry) {
        let Ok((request, Command::Txn(mut txn))) = Command::decode(entry.data.clone()) else { return };
        if request.member != self.id {
            txn.success.retain(|op| !matches!(op, Op::Range(_)));
            txn.failure.retain(|op| !matches!(op, Op::Range(_)));
            entry.data = Command::Txn(txn).encode(request);
        }
    }

    /// Voters before the change that is under way, if one is; it needs a majority of them too.
    pub(crate) fn leaving_voters(&self) -> &[u64] {
        &self.node.store().applied.conf.voters_outgoing
    }

    /// Whether a snapshot has arrived that is not in place yet.
    pub(crate) fn is_installing(&self) -> bool {
        self.install.is_some()
    }

    pub(crate) fn position(&self) -> Position {
        self.applied()
    }

    pub(crate) fn committed_index(&self) -> u64 {
        self.node.raft.raft_log.committed
    }

    pub(crate) fn hard_state(&self) -> HardState {
        self.node.raft.hard_state()
    }

    /// The term in which this member leads, if it does.
    pub(crate) fn leads(&self) -> Option<u64> {
        self.is_leader().then_some(self.node.raft.term)
    }

    /// The term in which this member leads and answers reads alone.
    pub(crate) fn leads_alone(&self, now: Instant) -> Option<u64> {
        self.leads().filter(|_| self.leads_surely(now))
    }

    /// Newest entry that was dropped, and those kept. While a snapshot is being put in place they mean nothing any more.
    pub(crate) fn log(&self) -> (Position, impl Iterator<Item = &Entry>) {
        let kept = if self.is_taking_snapshot() { 0 } else { usize::MAX };
        (self.node.store().truncated(), self.node.store().iter().take(kept))
    }
}
