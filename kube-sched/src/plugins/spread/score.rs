//! Constraints that should hold.

use super::exclusion::Exclusion;
use super::{Constraints, PodTopologySpread};
use crate::framework::{Cycle, MAX_NODE_SCORE, NodeScore, Score};
use crate::snapshot::{Counts, NodeId, Snapshot};
use crate::terms::{HOSTNAME, SpreadConstraint};

/// What a pod in the same domain costs.
struct Cost {
    /// Tells the nodes that have the topology.
    inside: Counts,
    counts: Counts,
    /// Grows with the number of domains, for one pod means less where there are few.
    weight: f64,
    max_skew: i64,
}

struct Costs {
    list: Vec<Cost>,
    /// Whether nodes outside a topology are judged too.
    lenient: bool,
    /// The places of the nodes outside, once scored.
    outside: Vec<usize>,
}

impl Score for PodTopologySpread {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let constraints = self.constraints(cycle, false)?;
        let keys: Vec<_> = constraints.list.iter().flat_map(SpreadConstraint::tallies).collect();
        let fork = cycle.snapshot.keeping(&keys);
        let snapshot = fork.as_ref().unwrap_or(cycle.snapshot);
        let exclusion = Exclusion::new(cycle, snapshot, &constraints);
        let judged = judged(snapshot, &constraints, feasible);
        let cost = |constraint: &SpreadConstraint| {
            let inside = snapshot.counts(&constraint.by_domain())?;
            let (counts, domains) = if *constraint.topology == *HOSTNAME {
                (snapshot.counts(&constraint.by_node())?, judged.len())
            } else {
                let domains = distinct(&inside, &judged);
                (exclusion.tally(snapshot, &constraints, constraint)?.counts, domains)
            };
            Some(Cost { inside, counts, weight: weight(domains), max_skew: constraint.max_skew })
        };
        let list = constraints.list.iter().filter_map(cost).collect();
        Some(Box::new(Costs { list, lenient: constraints.lenient, outside: Vec::new() }))
    }
}

/// The feasible nodes that have every topology, or all of them where that is not asked for.
fn judged(snapshot: &Snapshot, constraints: &Constraints<'_>, feasible: &[NodeId]) -> Vec<NodeId> {
    let topologies: Vec<_> =
        constraints.list.iter().filter_map(|c| Some(snapshot.domains(&c.topology)?.0)).collect();
    let complete =
        |node: &&NodeId| constraints.lenient || topologies.iter().all(|slots| slots.at(node.index()) > 0);
    feasible.iter().filter(complete).copied().collect()
}

/// The number of domains that some nodes are in. As upstream has it, those outside of all make up one more.
fn distinct(counts: &Counts, nodes: &[NodeId]) -> usize {
    let mut domains: Vec<_> = nodes.iter().map(|node| counts.domain(*node)).collect();
    domains.sort_unstable();
    domains.dedup();
    domains.len()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of nodes need no more than 52 bits")]
fn weight(domains: usize) -> f64 {
    (domains as f64 + 2.0).ln()
}

impl Costs {
    /// The cost of one more pod on a node; `None` outside the topologies.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "numbers of pods need no more than 52 bits"
    )]
    fn of(&self, node: NodeId) -> Option<i64> {
        let mut sum = 0.0;
        for Cost { inside, counts, weight, max_skew } in &self.list {
            match inside.domain(node).and_then(|_| counts.at(node)) {
                Some(count) => sum += count as f64 * weight + (max_skew - 1) as f64,
                None if self.lenient => {}
                None => return None,
            }
        }
        Some(sum.round() as i64)
    }
}

impl NodeScore for Costs {
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        self.outside.clear();
        for (place, (node, score)) in nodes.iter().zip(scores).enumerate() {
            match self.of(*node) {
                Some(cost) => *score = cost,
                None => {
                    *score = 0;
                    self.outside.push(place);
                }
            }
        }
    }

    fn normalize(&mut self, scores: &mut [i64]) {
        let mut outside = vec![false; scores.len()];
        for place in &self.outside {
            if let Some(outside) = outside.get_mut(*place) {
                *outside = true;
            }
        }
        let inside =
            || scores.iter().zip(&outside).filter(|(_, outside)| !**outside).map(|(score, _)| *score);
        let (least, most) = (inside().min().unwrap_or_default(), inside().max().unwrap_or_default());
        for (score, outside) in scores.iter_mut().zip(&outside) {
            *score = match (outside, most) {
                (true, _) => 0,
                (false, 0) => MAX_NODE_SCORE,
                (false, most) => MAX_NODE_SCORE * (most + least - *score) / most,
            };
        }
    }
}
