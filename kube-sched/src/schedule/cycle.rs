//! One scheduling cycle.

use fastrand::Rng;

use super::filters::{Filters, Refusal, code};
use super::rank::rank;
use super::search::{Judge, check_filters};
use super::{Decision, FailedAt, Outcome, PluginScores, Reuse};
use crate::framework::{
    Code, Cycle, Feasible, Observer, Point, PostFilterOutcome, Profile, Status, Verdict, Watched,
};
use crate::pod::PodInfo;
use crate::snapshot::{NodeId, Snapshot};

/// Decides where `pod` runs.
///
/// Reads nothing but its arguments and changes nothing but `rng`: the same arguments give the same decision. The search
/// starts at a node drawn from `rng` and stops when enough feasible nodes are found; of nodes with
/// equal scores one is drawn. [`Reuse`] decides the same, faster, for many pods of one kind.
#[must_use]
pub fn schedule(snapshot: &Snapshot, pod: &PodInfo, profile: &Profile, rng: &mut Rng) -> Decision {
    decide(snapshot, pod, profile, rng, None, &mut Watched::new(&mut ()))
}

pub(super) fn decide<O: Observer + ?Sized>(
    snapshot: &Snapshot,
    pod: &PodInfo,
    profile: &Profile,
    rng: &mut Rng,
    mut reuse: Option<&mut Reuse>,
    watched: &mut Watched<'_, O>,
) -> Decision {
    let cycle = Cycle { snapshot, pod };
    let mut decision = search(&cycle, profile, rng, reuse.as_deref_mut(), watched);
    if decision.needs_remedy() {
        remedy(&cycle, profile, reuse, &mut decision, watched);
    } else if !decision.feasible.is_empty() {
        place(&cycle, profile, rng, reuse, Vec::new(), &mut decision, watched);
    }
    decision
}

/// The first stage: the feasible nodes.
pub(crate) fn search<O: Observer + ?Sized>(
    cycle: &Cycle<'_>,
    profile: &Profile,
    rng: &mut Rng,
    mut reuse: Option<&mut Reuse>,
    watched: &mut Watched<'_, O>,
) -> Decision {
    let nodes = cycle.snapshot.node_count();
    let mut decision =
        reuse.as_deref_mut().map_or_else(|| Decision::new(nodes), |reuse| reuse.fresh_decision(nodes));
    if decision.total_nodes == 0 {
        return decision;
    }
    match prepare(cycle, profile, &mut decision, watched) {
        Err((plugin, status)) => decision.refuse_pod(plugin, status),
        Ok((candidates, filters)) => {
            let mut judge = Judge::new(cycle, profile, filters, reuse);
            let look = |watched: &mut Watched<'_, O>| {
                let found = judge.search(candidates.as_deref(), rng, &mut decision, watched);
                judge.tell_asked(watched);
                found
            };
            if let Err((plugin, status)) = watched.point(Point::Filter, look, refusal) {
                decision.outcome = Outcome::Failed { stage: FailedAt::Filter, plugin, status };
                decision.feasible.clear();
            }
        }
    }
    decision
}

/// The nodes to look at, all of them if that is `None`, and the filters to apply to them.
type Prepared<'a> = (Option<Vec<NodeId>>, Filters<'a>);

fn prepare<'a, O: Observer + ?Sized>(
    cycle: &Cycle<'a>,
    profile: &'a Profile,
    decision: &mut Decision,
    watched: &mut Watched<'_, O>,
) -> Result<Prepared<'a>, Refusal> {
    let work = |watched: &mut Watched<'_, O>| {
        let candidates = narrow(cycle, profile, decision, watched)?;
        let filters = Filters::compile(cycle, profile, watched);
        filters.tell_prepared(watched);
        Ok((candidates, filters))
    };
    watched.point(Point::PreFilter, work, refusal)
}

fn refusal<T>(done: &Result<T, Refusal>) -> Verdict {
    done.as_ref().err().map(|(_, status)| status.code)
}

/// The second stage when there are feasible nodes: takes the best of them. `more` are scores from elsewhere, in the order of the nodes.
pub(crate) fn place<O: Observer + ?Sized>(
    cycle: &Cycle<'_>,
    profile: &Profile,
    rng: &mut Rng,
    reuse: Option<&mut Reuse>,
    more: Vec<PluginScores>,
    decision: &mut Decision,
    watched: &mut Watched<'_, O>,
) {
    rank(cycle, profile, reuse, decision, watched);
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
    check_filters(&Cycle { snapshot, pod }, profile, node).map_err(|(_, status)| status)
}

/// Asks the plugins that judge the pod as a whole; `None` means that all nodes are candidates.
fn narrow<O: Observer + ?Sized>(
    cycle: &Cycle<'_>,
    profile: &Profile,
    decision: &mut Decision,
    watched: &mut Watched<'_, O>,
) -> Result<Option<Vec<NodeId>>, Refusal> {
    let mut candidates: Option<Vec<NodeId>> = None;
    for (place, plugin) in profile.plugins.iter().map(|enabled| &enabled.plugin).enumerate() {
        let Some(pre_filter) = plugin.as_pre_filter() else { continue };
        let judged = watched.plugin(Point::PreFilter, plugin.name(), || pre_filter.pre_filter(cycle), code);
        // One that lets the pod pass and filters is told of when its filter is compiled.
        if judged.is_err() || (plugin.as_filter().is_none() && judged != Ok(Feasible::All)) {
            watched.evaluated(Point::PreFilter, place, 1);
        }
        let feasible = judged.map_err(|status| (plugin.name(), status))?;
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
pub(crate) fn remedy<O: Observer + ?Sized>(
    cycle: &Cycle<'_>,
    profile: &Profile,
    reuse: Option<&mut Reuse>,
    decision: &mut Decision,
    watched: &mut Watched<'_, O>,
) {
    let work = |watched: &mut Watched<'_, O>| look_for_remedy(cycle, profile, reuse, decision, watched);
    watched.point(Point::PostFilter, work, |found| (!found).then_some(Code::Unschedulable));
}

/// Whether the pod was refused as a whole by a plugin before the one at `place`, which then has not seen it.
fn refused_before(profile: &Profile, place: usize, decision: &Decision) -> bool {
    let before = &profile.plugins[..place];
    decision.refused_pod.as_ref().is_some_and(|(name, _)| before.iter().any(|e| e.plugin.name() == *name))
}

/// Whether there is a way out.
fn look_for_remedy<O: Observer + ?Sized>(
    cycle: &Cycle<'_>,
    profile: &Profile,
    mut reuse: Option<&mut Reuse>,
    decision: &mut Decision,
    watched: &mut Watched<'_, O>,
) -> bool {
    for (place, plugin) in profile.plugins.iter().map(|enabled| &enabled.plugin).enumerate() {
        let Some(post_filter) = plugin.as_post_filter() else { continue };
        if plugin.as_pre_filter().is_some() && refused_before(profile, place, decision) {
            // In upstream such a plugin misses what it keeps of the pod from the first stage, and its failure ends the search.
            decision.post_filter = vec!["not found".into()];
            return false;
        }
        let refused = &decision.refused;
        let ask = || match reuse.as_deref_mut().and_then(|reuse| reuse.memo(place)) {
            Some(memo) => post_filter.post_filter_again(cycle, profile, refused, memo),
            None => post_filter.post_filter(cycle, profile, refused),
        };
        let resolved = |outcome: &PostFilterOutcome| matches!(outcome, PostFilterOutcome::Resolved(_));
        let verdict = |outcome: &PostFilterOutcome| (!resolved(outcome)).then_some(Code::Unschedulable);
        match watched.plugin(Point::PostFilter, plugin.name(), ask, verdict) {
            PostFilterOutcome::Resolved(preemption) => {
                decision.preemption = Some(preemption);
                decision.gives_up_nomination = false;
                // Who has found a way out does not tell why others have found none.
                decision.post_filter.clear();
                return true;
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
    false
}
