//! One scheduling cycle.

use fastrand::Rng;

use super::{Decision, Outcome, PluginScores};
use crate::framework::{Cycle, Feasible, NodeFilter, NodeStatus, PostFilterOutcome, Profile, Status};
use crate::pod::PodInfo;
use crate::snapshot::{NodeId, NodeView, Snapshot};

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

/// Decides where `pod` runs.
///
/// Reads nothing but its arguments and changes nothing but `rng`: the same arguments give the same decision. The search
/// starts at a node drawn from `rng` and stops when enough feasible nodes are found; of nodes with
/// equal scores one is drawn.
#[must_use]
pub fn schedule(snapshot: &Snapshot, pod: &PodInfo, profile: &Profile, rng: &mut Rng) -> Decision {
    let fork = snapshot.with_nominated(pod);
    let cycle = Cycle { snapshot: fork.as_ref().unwrap_or(snapshot), pod };
    let mut decision = Decision::new(snapshot.node_count());
    if decision.total_nodes == 0 {
        return decision;
    }
    let candidates = match narrow(&cycle, profile, &mut decision) {
        Ok(candidates) => candidates,
        Err((plugin, status)) => {
            decision.refuse_pod(plugin, status);
            remedy(&cycle, profile, &mut decision);
            return decision;
        }
    };
    let found = search(&cycle, profile, candidates.as_deref(), rng, &mut decision);
    if let Err((plugin, status)) = found {
        decision.outcome = Outcome::Failed { plugin, status };
    } else if decision.feasible.is_empty() {
        remedy(&cycle, profile, &mut decision);
    } else {
        rank(&cycle, profile, &mut decision);
        choose(&cycle, rng, &mut decision);
    }
    decision
}

/// Applies every filter of `profile` to one node.
///
/// # Errors
/// The status of the first plugin that refuses the node.
pub fn check_node(snapshot: &Snapshot, pod: &PodInfo, profile: &Profile, node: NodeId) -> Result<(), Status> {
    let mut filters = compile(&Cycle { snapshot, pod }, profile);
    check(&mut filters, snapshot.view(node)).map_err(|(_, status)| status)
}

type Refusal = (&'static str, Status);
type Filters<'a> = Vec<(&'static str, Box<dyn NodeFilter + 'a>)>;

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

fn compile<'a>(cycle: &Cycle<'a>, profile: &'a Profile) -> Filters<'a> {
    let filters = profile.plugins.iter().filter_map(|enabled| {
        let filter = enabled.plugin.as_filter()?.compile(cycle)?;
        Some((enabled.plugin.name(), filter))
    });
    filters.collect()
}

fn check(filters: &mut Filters<'_>, node: NodeView<'_>) -> Result<(), Refusal> {
    filters.iter_mut().try_for_each(|(plugin, filter)| filter.check(node).map_err(|status| (*plugin, status)))
}

/// Filters nodes until enough are feasible. Fails only when a plugin does.
fn search(
    cycle: &Cycle<'_>,
    profile: &Profile,
    candidates: Option<&[NodeId]>,
    rng: &mut Rng,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let snapshot = cycle.snapshot;
    let mut filters = compile(cycle, profile);
    if let Some(node) = cycle.pod.nominated_node().and_then(|name| snapshot.node(name))
        && check(&mut filters, node).is_ok()
    {
        decision.feasible.push(node.id());
        return Ok(());
    }
    let nodes = candidates.map_or(decision.total_nodes, <[_]>::len);
    let enough = feasible_nodes_to_find(profile.percentage_of_nodes_to_score, nodes);
    decision.feasible.reserve(enough);
    let start = if nodes > enough { rng.usize(..nodes) } else { 0 };
    for position in (start..nodes).chain(0..start) {
        let node = match candidates {
            Some(list) => snapshot.view(list.get(position).copied().unwrap_or_default()),
            None => snapshot.at_position(position),
        };
        match check(&mut filters, node) {
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
    Ok(())
}

/// Scores the feasible nodes. A single one needs no score.
fn rank(cycle: &Cycle<'_>, profile: &Profile, decision: &mut Decision) {
    let nodes = &decision.feasible;
    decision.totals = vec![0; nodes.len()];
    if nodes.len() < 2 {
        return;
    }
    for enabled in profile.plugins.iter().filter(|enabled| enabled.weight != 0) {
        let Some(mut score) = enabled.plugin.as_score().and_then(|score| score.compile(cycle, nodes)) else {
            continue;
        };
        let mut raw = vec![0; nodes.len()];
        score.score(nodes, &mut raw);
        let mut weighted = raw.clone();
        score.normalize(&mut weighted);
        for (total, score) in decision.totals.iter_mut().zip(&mut weighted) {
            *score *= enabled.weight;
            *total += *score;
        }
        decision.scores.push(PluginScores {
            plugin: enabled.plugin.name(),
            weight: enabled.weight,
            raw,
            weighted,
        });
    }
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

/// Asks the plugins for a way out.
fn remedy(cycle: &Cycle<'_>, profile: &Profile, decision: &mut Decision) {
    for post_filter in profile.plugins.iter().filter_map(|enabled| enabled.plugin.as_post_filter()) {
        match post_filter.post_filter(cycle, profile, &decision.refused) {
            PostFilterOutcome::Resolved(preemption) => {
                decision.preemption = Some(preemption);
                return;
            }
            PostFilterOutcome::Unresolved(reasons) => decision.post_filter.extend(reasons),
        }
    }
}
