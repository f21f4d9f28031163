//! Nodes whose pods do not count.

use super::Constraints;
use crate::framework::Cycle;
use crate::plugins::node_affinity::Demands;
use crate::plugins::taints::untolerated;
use crate::snapshot::{Column, Counts, NodeView, Snapshot};
use crate::terms::{Inclusion, SpreadConstraint};

/// Decides for each node and constraint whether the node's pods count.
pub(super) struct Exclusion<'a> {
    demands: Option<Demands<'a>>,
    /// Whether the pod tolerates each set of taints.
    tolerated: Vec<bool>,
    /// Whether some node lacks one of the topologies, though it must have all to count.
    gaps: bool,
}

/// The number of pods in each domain that has nodes which count.
pub(super) struct Tallied {
    pub(super) counts: Counts,
    /// The smallest of them; `None` without any domain.
    pub(super) least: Option<i64>,
    pub(super) domains: usize,
}

impl<'a> Exclusion<'a> {
    /// `snapshot` keeps the tallies of all constraints.
    pub(super) fn new(cycle: &Cycle<'a>, snapshot: &Snapshot, constraints: &Constraints<'_>) -> Self {
        let tolerations = cycle.pod.tolerations();
        let reads_taints = constraints.list.iter().any(|c| c.node_taints == Inclusion::Honor);
        let sets = cycle.snapshot.taint_sets().take(if reads_taints { usize::MAX } else { 0 });
        let gap = |c: &SpreadConstraint| !snapshot.covers_all_nodes(&c.topology);
        Self {
            demands: Demands::of(cycle),
            tolerated: sets.map(|taints| untolerated(tolerations, taints).is_none()).collect(),
            gaps: !constraints.lenient && constraints.list.iter().any(gap),
        }
    }

    /// Whether every node counts for `constraint`.
    fn is_empty(&self, constraint: &SpreadConstraint) -> bool {
        !self.gaps
            && (constraint.node_affinity == Inclusion::Ignore || self.demands.is_none())
            && (constraint.node_taints == Inclusion::Ignore
                || self.tolerated.iter().all(|tolerated| *tolerated))
    }

    fn includes(&self, constraint: &SpreadConstraint, node: NodeView<'_>) -> bool {
        let wanted = || self.demands.as_ref().is_none_or(|demands| demands.admit(node));
        let tolerated = || self.tolerated.get(node.taint_set() as usize) != Some(&false);
        (constraint.node_affinity == Inclusion::Ignore || wanted())
            && (constraint.node_taints == Inclusion::Ignore || tolerated())
    }

    /// Counts by domain for the constraint with a certain place in the list.
    pub(super) fn tally(
        &self,
        snapshot: &Snapshot,
        constraints: &Constraints<'_>,
        constraint: &SpreadConstraint,
    ) -> Option<Tallied> {
        if self.is_empty(constraint) {
            let (key, counts) = (constraint.by_domain(), snapshot.counts(&constraint.by_domain())?);
            let by_domain = snapshot.domain_counts(&key);
            return Some(Tallied {
                counts,
                least: by_domain.iter().copied().min(),
                domains: by_domain.len(),
            });
        }
        let topologies: Vec<_> =
            constraints.list.iter().filter_map(|c| Some(snapshot.domains(&c.topology)?.0)).collect();
        let complete = |node: NodeView<'_>| {
            constraints.lenient || topologies.iter().all(|slots| slots.at(node.id().index()) > 0)
        };
        let (slots, bound) = snapshot.domains(&constraint.topology)?;
        let by_node = snapshot.counts(&constraint.by_node())?;
        let mut by_domain: Vec<Option<i64>> = vec![None; bound];
        for node in snapshot.nodes().filter(|node| complete(*node) && self.includes(constraint, *node)) {
            let domain = (slots.at(node.id().index()) as usize).checked_sub(1);
            if let Some(count) = domain.and_then(|domain| by_domain.get_mut(domain)) {
                *count = Some(count.unwrap_or_default() + by_node.at(node.id()).unwrap_or_default());
            }
        }
        let least = by_domain.iter().flatten().copied().min();
        let domains = by_domain.iter().flatten().count();
        let mut counts = Column::default();
        by_domain.iter().for_each(|count| counts.push(count.unwrap_or_default()));
        Some(Tallied { counts: Counts::new(slots, counts), least, domains })
    }
}
