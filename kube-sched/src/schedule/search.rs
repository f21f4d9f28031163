//! Looking for feasible nodes.

use fastrand::Rng;

use super::filters::{Filters, Refusal};
use super::{Decision, Reuse};
use crate::framework::{Cycle, NodeStatus, Observer, Profile, Watched};
use crate::snapshot::{NodeId, NodeView};

/// Clusters up to this many nodes are always searched completely; larger ones until at least so many are feasible.
const MIN_FEASIBLE: usize = 100;
/// The adaptive percentage never falls below this.
const MIN_PERCENTAGE: usize = 5;

/// How many feasible nodes are enough in a cluster of `nodes` nodes, given the profile's percentage.
#[must_use]
pub fn feasible_nodes_to_find(percentage: Option<u8>, nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE {
        return nodes;
    }
    let percentage = match percentage {
        Some(percentage) if percentage > 0 => usize::from(percentage),
        _ => 50_usize.saturating_sub(nodes / 125).max(MIN_PERCENTAGE),
    };
    (nodes * percentage / 100).max(MIN_FEASIBLE)
}

/// The filters of an attempt, and what is known from earlier ones.
pub(super) struct Judge<'a, 'r> {
    cycle: Cycle<'a>,
    profile: &'a Profile,
    filters: Filters<'a>,
    reuse: Option<&'r mut Reuse>,
}

impl<'a, 'r> Judge<'a, 'r> {
    pub(super) fn new(
        cycle: &Cycle<'a>,
        profile: &'a Profile,
        filters: Filters<'a>,
        reuse: Option<&'r mut Reuse>,
    ) -> Self {
        Self { cycle: *cycle, profile, filters, reuse }
    }

    /// Whether the pod may run on a node, both with and without the pods for which room is made there.
    fn check<O>(&mut self, node: NodeView<'_>, watched: &mut Watched<'_, O>) -> Result<(), Refusal>
    where
        O: Observer + ?Sized,
    {
        match &mut self.reuse {
            Some(reuse) => {
                let filters = &mut self.filters;
                let alone = reuse.verdict(node, || filters.check_node_alone(node, watched));
                self.filters.complete(node, alone, watched)?;
            }
            None => self.filters.check(node, watched)?,
        }
        self.check_with_nominated(node)
    }

    /// Whether the pod may run on a node with the pods for which room is made there, which it may not displace.
    fn check_with_nominated(&mut self, node: NodeView<'_>) -> Result<(), Refusal> {
        let Cycle { snapshot, pod } = self.cycle;
        if !snapshot.has_nominated(node.id()) {
            return Ok(());
        }
        let stamp = (!snapshot.is_nominated(pod, node.id())).then(|| node.stamp());
        let known = self.reuse.as_ref().and_then(|reuse| reuse.crowded_verdict(node.id(), stamp?));
        if let Some(verdict) = known {
            return verdict.clone();
        }
        let Some(fork) = snapshot.with_nominated(pod, node) else { return Ok(()) };
        let (mut nobody, cycle) = ((), Cycle { snapshot: &fork, pod });
        let watched = &mut Watched::new(&mut nobody);
        let mut filters = Filters::compile(&cycle, self.profile, watched);
        let verdict = filters.check(fork.view(node.id()), watched);
        if let (Some(reuse), Some(stamp), false) = (&mut self.reuse, stamp, filters.are_wide()) {
            reuse.keep_crowded_verdict(node.id(), stamp, verdict.clone());
        }
        verdict
    }

    /// Tells how many nodes each filter was asked about.
    pub(super) fn tell_asked<O: Observer + ?Sized>(&self, watched: &mut Watched<'_, O>) {
        self.filters.tell_asked(watched);
    }

    /// Filters nodes until enough are feasible. Fails only when a plugin does.
    pub(super) fn search<O>(
        &mut self,
        candidates: Option<&[NodeId]>,
        rng: &mut Rng,
        decision: &mut Decision,
        watched: &mut Watched<'_, O>,
    ) -> Result<(), Refusal>
    where
        O: Observer + ?Sized,
    {
        let snapshot = self.cycle.snapshot;
        if let Some(node) = self.cycle.pod.nominated_node().and_then(|name| snapshot.node(name))
            && self.check(node, watched).is_ok()
        {
            decision.feasible.push(node.id());
            return Ok(());
        }
        let nodes = candidates.map_or(decision.total_nodes, <[_]>::len);
        let enough = feasible_nodes_to_find(self.profile.percentage_of_nodes_to_score, nodes);
        decision.feasible.reserve(enough);
        if let Some(reuse) = &self.reuse {
            decision.refused.reserve(reuse.refusals);
        }
        let start = if nodes > enough { rng.usize(..nodes) } else { 0 };
        for position in (start..nodes).chain(0..start) {
            let node = match candidates {
                Some(list) => snapshot.view(list.get(position).copied().unwrap_or_default()),
                None => snapshot.at_position(position),
            };
            match self.check(node, watched) {
                Ok(()) => decision.feasible.push(node.id()),
                Err((plugin, status)) if status.is_rejection() => {
                    decision.refused.push(NodeStatus { node: node.id(), plugin, status });
                }
                Err(failure) => return Err(failure),
            }
            if decision.feasible.len() >= enough {
                break;
            }
        }
        if let Some(reuse) = &mut self.reuse {
            reuse.refusals = decision.refused.len();
        }
        Ok(())
    }
}

/// Asks all filters about a node.
pub(super) fn check_filters(cycle: &Cycle<'_>, profile: &Profile, node: NodeId) -> Result<(), Refusal> {
    let mut nobody = ();
    let watched = &mut Watched::new(&mut nobody);
    Filters::compile(cycle, profile, watched).check(cycle.snapshot.view(node), watched)
}
