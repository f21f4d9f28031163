//! Pods of lower priority make room for pods of higher priority.

mod candidate;
mod dry_run;
mod known;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Deserialize;

use crate::Error;
use crate::complaint::Complaints;
use crate::framework::{
    Code, Cycle, Memo, NodeStatus, Plugin, PluginArgs, PostFilter, PostFilterOutcome, Preemption, Profile,
    Reason, Status,
};
use crate::plugins::args::{accept, decode};
use crate::pod::PodInfo;
use crate::schedule::count_reasons;
use crate::snapshot::{NodeId, Snapshot};
use candidate::Candidate;
use dry_run::DryRun;
use known::Known;

/// Looks for a node on which removing pods of lower priority lets the pod fit, and for the removal that harms least:
/// disruption budgets first, then priorities, then numbers, then ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultPreemption {
    /// How many nodes are tried at least, in percent of all, 0 to 100. Default 10.
    pub min_candidate_nodes_percentage: u8,
    /// How many nodes are tried at least. Default 100.
    pub min_candidate_nodes_absolute: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Args {
    min_candidate_nodes_percentage: Option<i64>,
    min_candidate_nodes_absolute: Option<i64>,
}

impl Default for DefaultPreemption {
    fn default() -> Self {
        Self { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 100 }
    }
}

impl DefaultPreemption {
    /// The plugin's name.
    pub const NAME: &str = "DefaultPreemption";

    /// Reads `DefaultPreemptionArgs`.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields that do not exist, numbers out of range, and when both are zero.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let fields = &["minCandidateNodesPercentage", "minCandidateNodesAbsolute"];
        let Args { min_candidate_nodes_percentage: percentage, min_candidate_nodes_absolute: absolute } =
            decode(Self::NAME, args, fields)?;
        let (mut complaints, default) = (Complaints::default(), Self::default());
        let percentage = percentage.unwrap_or(default.min_candidate_nodes_percentage.into());
        let absolute = absolute.unwrap_or(default.min_candidate_nodes_absolute.into());
        let (first, second) = ("minCandidateNodesPercentage", "minCandidateNodesAbsolute");
        let it = &mut complaints;
        it.invalid_if(!(0..=100).contains(&percentage), first, percentage, "not in valid range [0, 100]");
        it.invalid_if(absolute < 0, second, absolute, "not in valid range [0, inf)");
        if (percentage, absolute) == (0, 0) {
            it.invalid(first, 0, format_args!("cannot be zero at the same time as {second}"));
            it.invalid(second, 0, format_args!("cannot be zero at the same time as {first}"));
        }
        accept(Self::NAME, complaints)?;
        Ok(Self {
            min_candidate_nodes_percentage: u8::try_from(percentage).unwrap_or(u8::MAX),
            min_candidate_nodes_absolute: u32::try_from(absolute).unwrap_or(u32::MAX),
        })
    }

    fn enough(&self, nodes: usize) -> usize {
        let share = nodes * usize::from(self.min_candidate_nodes_percentage) / 100;
        share.max(usize::try_from(self.min_candidate_nodes_absolute).unwrap_or(usize::MAX)).min(nodes)
    }
}

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(PostFilter);
}

impl PostFilter for DefaultPreemption {
    fn post_filter(&self, cycle: &Cycle<'_>, profile: &Profile, refused: &[NodeStatus]) -> PostFilterOutcome {
        self.post_filter_again(cycle, profile, refused, &mut Memo::default())
    }

    fn post_filter_again(
        &self,
        cycle: &Cycle<'_>,
        profile: &Profile,
        refused: &[NodeStatus],
        memo: &mut Memo,
    ) -> PostFilterOutcome {
        if let Some(reason) = ineligible(cycle, refused) {
            return PostFilterOutcome::Ineligible(vec![format!("preemption: {reason}").into()]);
        }
        let known = memo.get::<Known>();
        let Explored { found, failed } = self.explore(cycle, profile, refused, known);
        let candidates = found.iter().filter_map(|node| known.candidate(*node));
        match candidates.min_by_key(|candidate| candidate.cost) {
            Some(candidate) => PostFilterOutcome::Resolved(candidate.preemption()),
            None => {
                let statuses: Vec<_> = failed.iter().filter_map(|node| known.status(*node)).collect();
                PostFilterOutcome::Unresolved(vec![message(cycle.snapshot, &statuses)])
            }
        }
    }

    fn ways_out(&self, cycle: &Cycle<'_>, profile: &Profile, refused: &[NodeStatus]) -> Vec<Preemption> {
        if ineligible(cycle, refused).is_some() {
            return Vec::new();
        }
        let mut known = Known::default();
        let explored = self.explore(cycle, profile, refused, &mut known);
        let mut candidates: Vec<_> =
            explored.found.iter().filter_map(|node| known.candidate(*node)).collect();
        candidates.sort_by_key(|candidate| candidate.cost);
        candidates.into_iter().map(Candidate::preemption).collect()
    }
}

/// The nodes that were tried.
struct Explored {
    found: Vec<NodeId>,
    failed: Vec<NodeId>,
}

impl DefaultPreemption {
    /// Tries nodes until there are as many candidates as are enough.
    fn explore(
        &self,
        cycle: &Cycle<'_>,
        profile: &Profile,
        refused: &[NodeStatus],
        known: &mut Known,
    ) -> Explored {
        let enough = self.enough(cycle.snapshot.node_count());
        let helpful = refused.iter().filter(|refused| refused.status.code == Code::Unschedulable);
        let mut run = DryRun::new(cycle, profile);
        known.refresh(cycle.snapshot);
        let (mut explored, mut clean) = (Explored { found: Vec::new(), failed: Vec::new() }, false);
        for NodeStatus { node, .. } in helpful {
            match known.try_out(&mut run, *node) {
                Ok(candidate) => {
                    clean |= candidate.violations == 0;
                    explored.found.push(*node);
                }
                Err(_) => explored.failed.push(*node),
            }
            if clean && explored.found.len() >= enough {
                break;
            }
        }
        explored
    }
}

/// Why this pod may not preempt others at all.
fn ineligible(cycle: &Cycle<'_>, refused: &[NodeStatus]) -> Option<&'static str> {
    let policy = cycle.pod.spec().and_then(|spec| spec.preemption_policy.as_deref());
    if policy == Some("Never") {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let node = cycle.snapshot.node(cycle.pod.nominated_node()?)?;
    let hopeless =
        |refused: &NodeStatus| refused.node == node.id() && refused.status.code == Code::Unresolvable;
    let leaving = |pod: &Arc<PodInfo>| pod.priority < cycle.pod.priority && leaves_for_another(pod);
    (!refused.iter().any(hopeless) && node.pods().iter().any(leaving))
        .then_some("not eligible due to a terminating pod on the nominated node.")
}

/// Whether a pod is being deleted because of a preemption.
fn leaves_for_another(pod: &PodInfo) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut preempted = conditions.filter(|condition| condition.type_ == "DisruptionTarget");
    pod.is_terminating()
        && preempted.any(|c| c.status == "True" && c.reason.as_deref() == Some("PreemptionByScheduler"))
}

/// The summary over all nodes, in upstream's words.
fn message(snapshot: &Snapshot, statuses: &[&Status]) -> Reason {
    let total = snapshot.node_count();
    let reasons = statuses.iter().flat_map(|status| status.reasons.iter()).map(|reason| (reason.as_str(), 1));
    let hopeless = ("Preemption is not helpful for scheduling", total.saturating_sub(statuses.len()));
    let counts = count_reasons(reasons.chain([hopeless]));
    format!("preemption: 0/{total} nodes are available: {counts}.").into()
}
