//! What has been found out about nodes.

use super::candidate::Candidate;
use super::dry_run::DryRun;
use crate::framework::Status;
use crate::snapshot::{NodeId, Snapshot};

/// What trying out a node has shown.
pub(super) type Outcome = Result<Candidate, Status>;

/// The outcomes for pods of one kind; each holds until the node or a disruption budget changes.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// When the budgets had changed last.
    budgets: u64,
    by_node: Vec<Option<Tried>>,
}

#[derive(Debug)]
struct Tried {
    /// When the node had changed last; `None` if the outcome depends on more than the node, or on which pod of the kind it is.
    stamp: Option<u64>,
    outcome: Outcome,
}

impl Known {
    /// Forgets what is out of date as a whole.
    pub(super) fn refresh(&mut self, snapshot: &Snapshot) {
        if self.budgets != snapshot.budgets_stamp() {
            self.budgets = snapshot.budgets_stamp();
            self.by_node.clear();
        }
        self.by_node.resize_with(snapshot.slot_bound(), || None);
    }

    /// The outcome for a node, tried out if it is not known.
    pub(super) fn try_out(&mut self, run: &mut DryRun<'_>, node: NodeId) -> &Outcome {
        if self.by_node.len() <= node.index() {
            self.by_node.resize_with(node.index() + 1, || None);
        }
        let stamp = run.stamp(node);
        let tried = &mut self.by_node[node.index()];
        if stamp.is_none() || tried.as_ref().is_none_or(|tried| tried.stamp != stamp) {
            *tried = None;
        }
        let try_out = || {
            let (outcome, depends_on_node_alone) = run.try_out(node);
            Tried { stamp: stamp.filter(|_| depends_on_node_alone), outcome }
        };
        &tried.get_or_insert_with(try_out).outcome
    }

    fn outcome(&self, node: NodeId) -> Option<&Outcome> {
        Some(&self.by_node.get(node.index())?.as_ref()?.outcome)
    }

    /// The candidate that a node has turned out to be.
    pub(super) fn candidate(&self, node: NodeId) -> Option<&Candidate> {
        self.outcome(node)?.as_ref().ok()
    }

    /// Why a node has turned out to be none.
    pub(super) fn status(&self, node: NodeId) -> Option<&Status> {
        self.outcome(node)?.as_ref().err()
    }
}
