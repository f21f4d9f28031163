//! One scheduling cycle.

use fastrand::Rng;

use super::filters::{Filters, Refusal};
use super::rank::rank;
use super::search::Judge;
use super::{Decision, Outcome, PluginScores, Reuse};
use crate::framework::{Cycle, Feasible, PostFilterOutcome, Profile, Status};
use crate::pod::PodInfo;
use crate::snapshot::{NodeId, Snapshot};

/// Decides where `pod` runs.
///
/// Reads nothing but its arguments and changes nothing but `rng`: the same arguments give the same decision. The search
/// starts at a node drawn from `rng` and stops when enough feasible nodes are found; of nodes with
/// equal scores one is drawn. [`Reuse`] decides the same, faster, for many pods of one kind.
#[must_use]
pub fn schedule(snapshot: &Snapshot, pod: &PodInfo, profile: &Profile, rng: &mut Rng) -> Decision {
    decide(snapshot, pod, profile, rng, None)
}

pub(super) fn decide(
    snapshot: &Snapshot,
    pod: &PodInfo,
    profile: &Profile,
    rng: &mut Rng,
    mut reuse: Option<&mut Reuse>,
) -> Decision {
    let cycle = Cycle { snapshot, pod };
    let mut decision = search(&cycle, profile, rng, reuse.as_deref_mut());
    if decision.needs_remedy() {
        remedy(&cycle, profile, &mut decision);
    } else if !decision.feasible.is_empty() {
        place(&cycle, profile, rng, reuse, Vec::new(), &mut decision);
    }
    decision
}

/// The first stage: the feasible nodes.
pub(crate) fn search(
    cycle: &Cycle<'_>,
    profile: &Profile,
    rng: &mut Rng,
    reuse: Option<&mut Reuse>,
) -> Decision {
    let mut decision = Decision::new(cycle.snapshot.node_count());
    if decision.total_nodes == 0 {
        return decision;
    }
    match narrow(cycle, profile, &mut decision) {
        Err((plugin, status)) => decision.refuse_pod(plugin, status),
        Ok(candidates) => {
            let found = Judge::new(cycle, profile, reuse).search(candidates.as_deref(), rng, &mut decision);
            if let Err((plugin, status)) = found {
                decision.outcome = Outcome::Failed { plugin, status };
                decision.feasible.clear();
            }
        }
    }
    decision
}

/// The second stage when there are feasible nodes: takes the best of them. `more` are scores from elsewhere, in the order of the nodes.
pub(crate) fn place(
    cycle: &Cycle<'_>,
    profile: &Profile,
    rng: &mut Rng,
    reuse: Option<&mut Reuse>,
    more: Vec<PluginScores>,
    decision: &mut Decision,
) {
    rank(cycle, profile, reuse, decision);
    for scores in &more {
        decision.totals.iter_mut().zip(&scores.weighted).for_each(|(total, score)| *total += score);
    }
    decision.scores.extend(more);
    choose(cycle, rng, decision);
}

/// Applies every filter of `profile` to one node.
///
/// # Errors
/// The status of the first plugin that refuses the node.
pub fn check_node(snapshot: &Snapshot, pod: &PodInfo, profile: &Profile, node: NodeId) -> Result<(), Status> {
    let mut filters = Filters::compile(&Cycle { snapshot, pod }, profile);
    filters.check(snapshot.view(node)).map_err(|(_, status)| status)
}

/// Asks the plugins that judge the pod as a whole; `None` means that all nodes are candidates.
fn narrow(
    cycle: &Cycle<'_>,
    profile: &Profile,
    decision: &mut Decision,
) -> Result<Option<Vec<NodeId>>, Refusal> {
    let mut candidates: Option<Vec<NodeId>> = None;
    for plugin in profile.plugins.iter().map(|enabled| &enabled.plugin) {
        let Some(pre_filter) = plugin.as_pre_filter() else { continue };
        let feasible = pre_filter.pre_filter(cycle).map_err(|status| (plugin.name(), status))?;
        if let Feasible::Only(nodes) = feasible {
            decision.narrowed_by.push(plugin.name());
            candidates = Some(match candidates {
                Some(before) => before.into_iter().filter(|node| nodes.contains(node)).collect(),
                None => nodes,
            });
        }
    }
    Ok(candidates)
}

/// Takes the node with the highest total; of several, each with the same probability.
fn choose(cycle: &Cycle<'_>, rng: &mut Rng, decision: &mut Decision) {
    let best = decision.totals.iter().copied().max().unwrap_or_default();
    let ties = decision.totals.iter().filter(|total| **total == best).count();
    let pick = if ties > 1 { rng.usize(..ties) } else { 0 };
    let mut winners = decision.feasible.iter().zip(&decision.totals).filter(|(_, total)| **total == best);
    if let Some(info) = winners.nth(pick).and_then(|(node, _)| cycle.snapshot.view(*node).info()) {
        decision.outcome = Outcome::Node(info.name.clone());
    }
}

/// The second stage when there is no feasible node: asks the plugins for a way out.
pub(crate) fn remedy(cycle: &Cycle<'_>, profile: &Profile, decision: &mut Decision) {
    for post_filter in profile.plugins.iter().filter_map(|enabled| enabled.plugin.as_post_filter()) {
        match post_filter.post_filter(cycle, profile, &decision.refused) {
            PostFilterOutcome::Resolved(preemption) => {
                decision.preemption = Some(preemption);
                decision.gives_up_nomination = false;
                return;
            }
            PostFilterOutcome::Unresolved(reasons) => {
                decision.post_filter.extend(reasons);
                decision.gives_up_nomination = true;
            }
            PostFilterOutcome::Ineligible(reasons) => decision.post_filter.extend(reasons),
            PostFilterOutcome::Deallocate { claim, reasons } => {
                decision.post_filter.extend(reasons);
                decision.deallocation = Some(claim);
            }
        }
    }
}
