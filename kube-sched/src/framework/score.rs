//! Extension points that rank feasible nodes.

use super::{Cycle, Reach};
use crate::snapshot::NodeId;

/// The best score a plugin can give a node.
pub const MAX_NODE_SCORE: i64 = 100;

/// Ranks feasible nodes.
pub trait Score {
    /// Compiles the pod's preferences, once per attempt; `None` when the plugin has no opinion on this pod.
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>>;
}

/// A pod's preferences in the form that is applied to nodes.
pub trait NodeScore {
    /// Writes the raw score of each node of `nodes` to the same place of `scores`; both have the same length.
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]);

    /// Brings raw scores into 0..=[`MAX_NODE_SCORE`]; does nothing where they are already.
    fn normalize(&mut self, scores: &mut [i64]) {
        let _ = scores;
    }

    /// What the raw scores depend on; in doubt, everything.
    fn reach(&self) -> Reach {
        Reach::Cluster
    }
}

/// Scales scores linearly so that the largest becomes [`MAX_NODE_SCORE`]; `reverse` turns the order round.
pub fn normalize(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or_default();
    for score in scores {
        let scaled = if highest == 0 { 0 } else { MAX_NODE_SCORE * *score / highest };
        *score = if reverse { MAX_NODE_SCORE - scaled } else { scaled };
    }
}
