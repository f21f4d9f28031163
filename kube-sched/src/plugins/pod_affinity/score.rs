//! Preferred affinity and anti-affinity.

use super::InterPodAffinity;
use crate::framework::{Cycle, MAX_NODE_SCORE, NodeScore, Score};
use crate::snapshot::{NodeId, Sums};
use crate::terms::Role;

/// What running in each domain is worth, by topology.
struct Worth(Vec<Sums>);

impl Score for InterPodAffinity {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let preferred = cycle.pod.terms().map_or(&[][..], |terms| &terms.preferred);
        if self.ignore_preferred_terms_of_existing_pods && preferred.is_empty() {
            return None;
        }
        let mut worth = cycle.snapshot.sums_of_others(cycle.pod, |role| match role {
            Role::Attracted => self.hard_pod_affinity_weight,
            Role::Inclined => 1,
            Role::Matching | Role::Repelled => 0,
        });
        let keys: Vec<_> =
            preferred.iter().map(|term| (term.term.tally(Role::Matching), term.weight)).collect();
        let fork = cycle.snapshot.keeping(keys.iter().map(|(key, _)| key));
        let snapshot = fork.as_ref().unwrap_or(cycle.snapshot);
        for (key, weight) in &keys {
            snapshot.add_tally(&mut worth, key, *weight);
        }
        (!worth.is_empty()).then(|| Box::new(Worth(worth)) as Box<dyn NodeScore>)
    }
}

impl NodeScore for Worth {
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        for (node, score) in nodes.iter().zip(scores) {
            *score = self.0.iter().map(|sums| sums.at(*node)).sum();
        }
    }

    /// Stretches the range of the scores; nodes that are all worth the same get nothing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "weights and counts need no more than 52 bits, and the result is between 0 and 100"
    )]
    fn normalize(&mut self, scores: &mut [i64]) {
        let lowest = scores.iter().copied().min().unwrap_or_default();
        let range = scores.iter().copied().max().unwrap_or_default() - lowest;
        for score in scores {
            let share = if range == 0 { 0.0 } else { (*score - lowest) as f64 / range as f64 };
            *score = (MAX_NODE_SCORE as f64 * share) as i64;
        }
    }
}
