//! What preemption on one node would cost.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;

use crate::framework::Preemption;
use crate::pod::PodInfo;
use crate::snapshot::NodeId;

/// The victims on one node.
#[derive(Debug)]
pub(super) struct Candidate {
    node: NodeId,
    /// Most important first.
    victims: Vec<Arc<PodInfo>>,
    /// How many of them break a disruption budget.
    pub(super) violations: usize,
    /// Smaller is better.
    pub(super) cost: Cost,
}

/// Violations, priority of the most important victim, sum of priorities, number, start of the most important.
pub(super) type Cost = (usize, i32, i64, usize, Reverse<Timestamp>);

impl Candidate {
    /// `victims` are in the order of their importance.
    pub(super) fn new(node: NodeId, victims: Vec<Arc<PodInfo>>, violations: usize) -> Self {
        let cost = cost(&victims, violations);
        Self { node, victims, violations, cost }
    }

    pub(super) fn victims(&self) -> &[Arc<PodInfo>] {
        &self.victims
    }

    pub(super) fn preemption(&self) -> Preemption {
        let victims = self.victims.iter().map(|pod| Arc::clone(&pod.key)).collect();
        Preemption { node: self.node, victims, violations: self.violations }
    }
}

/// Of victims that are equally important, those that started last are the better ones.
fn cost(victims: &[Arc<PodInfo>], violations: usize) -> Cost {
    let highest = victims.first().map_or(i32::MIN, |victim| victim.priority);
    // Shifted into the positive, so that many victims of negative priority do not look cheap.
    let shifted = |victim: &Arc<PodInfo>| i64::from(victim.priority) + i64::from(i32::MAX) + 1;
    let important = victims.iter().filter(|victim| victim.priority == highest);
    let earliest = important.map(|victim| started(victim)).min().unwrap_or(Timestamp::MAX);
    let sum = victims.iter().map(shifted).sum();
    (violations, highest, sum, victims.len(), Reverse(earliest))
}

/// When a pod started; one that has not counts as the youngest.
fn started(pod: &PodInfo) -> Timestamp {
    pod.started.unwrap_or(Timestamp::MAX)
}

/// The order of importance: priority, then age. Smaller is more important.
pub(super) fn importance(pod: &PodInfo) -> (Reverse<i32>, Timestamp) {
    (Reverse(pod.priority), started(pod))
}
