//! Pods of lower priority make room for pods of higher priority.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;

use crate::framework::{
    Code, Cycle, NodeStatus, Plugin, PostFilter, PostFilterOutcome, Preemption, Profile, Reason, Status,
};
use crate::pod::PodInfo;
use crate::schedule::{check_node, count_reasons};
use crate::snapshot::{NodeId, Snapshot};

/// Looks for a node on which removing pods of lower priority lets the pod fit, and for the fewest and least important of them.
///
/// Disruption budgets are not consulted.
#[derive(Debug, Clone, Copy)]
pub struct DefaultPreemption;

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }

    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        Some(self)
    }
}

/// Priority of the most important victim, sum of priorities, number of victims, earliest start of the most important.
type Cost = (i32, i64, usize, Reverse<Timestamp>);

/// The victims on one node, most important first.
struct Candidate {
    node: NodeId,
    victims: Vec<Arc<PodInfo>>,
}

impl Candidate {
    /// Smaller is better: priority of the most important victim, sum of priorities, number, and then the latest start
    /// of the most important ones.
    fn cost(&self) -> Cost {
        let highest = self.victims.first().map_or(i32::MIN, |victim| victim.priority);
        // Shifted into the positive, so that many victims of negative priority do not look cheap.
        let sum =
            self.victims.iter().map(|victim| i64::from(victim.priority) + i64::from(i32::MAX) + 1).sum();
        let important = self.victims.iter().filter(|victim| victim.priority == highest);
        let earliest = important.map(|victim| started(victim)).min().unwrap_or(Timestamp::MAX);
        (highest, sum, self.victims.len(), Reverse(earliest))
    }
}

fn started(pod: &PodInfo) -> Timestamp {
    let status = pod.object.status.as_ref();
    status.and_then(|status| status.start_time.as_ref()).map_or(Timestamp::MAX, |time| time.0)
}

impl PostFilter for DefaultPreemption {
    fn post_filter(&self, cycle: &Cycle<'_>, profile: &Profile, refused: &[NodeStatus]) -> PostFilterOutcome {
        if let Some(reason) = ineligible(cycle) {
            return PostFilterOutcome::Unresolved(vec![format!("preemption: {reason}").into()]);
        }
        let mut statuses: Vec<Status> = Vec::new();
        let mut best: Option<(Cost, Candidate)> = None;
        for NodeStatus { node, .. } in
            refused.iter().filter(|refused| refused.status.code == Code::Unschedulable)
        {
            match victims(cycle, profile, *node) {
                Ok(candidate) => {
                    let cost = candidate.cost();
                    if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                        best = Some((cost, candidate));
                    }
                }
                Err(status) => statuses.push(status),
            }
        }
        match best {
            Some((_, Candidate { node, victims })) => PostFilterOutcome::Resolved(Preemption {
                node,
                victims: victims.iter().map(|pod| Arc::clone(&pod.key)).collect(),
            }),
            None => PostFilterOutcome::Unresolved(vec![message(cycle.snapshot, &statuses)]),
        }
    }
}

/// Why this pod may not preempt others at all.
fn ineligible(cycle: &Cycle<'_>) -> Option<&'static str> {
    let policy = cycle.pod.spec().and_then(|spec| spec.preemption_policy.as_deref());
    if policy == Some("Never") {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let node = cycle.snapshot.node(cycle.pod.nominated_node()?)?;
    let leaving = |pod: &Arc<PodInfo>| pod.priority < cycle.pod.priority && pod.is_terminating();
    node.pods().iter().any(leaving).then_some("not eligible due to a terminating pod on the nominated node.")
}

/// The least important pods whose removal from `node` lets the pod fit.
fn victims(cycle: &Cycle<'_>, profile: &Profile, node: NodeId) -> Result<Candidate, Status> {
    let mut lower: Vec<_> = cycle
        .snapshot
        .view(node)
        .pods()
        .iter()
        .filter(|pod| pod.priority < cycle.pod.priority)
        .cloned()
        .collect();
    if lower.is_empty() {
        return Err(Status::unresolvable("No preemption victims found for incoming pod"));
    }
    let mut fork = cycle.snapshot.fork();
    for pod in &lower {
        fork.remove_pod(&pod.key);
    }
    check_node(&fork, cycle.pod, profile, node)?;
    lower.sort_by_key(|pod| (Reverse(pod.priority), started(pod)));
    lower.retain(|pod| {
        fork.upsert_pod(Arc::clone(pod));
        let spared = check_node(&fork, cycle.pod, profile, node).is_ok();
        if !spared {
            fork.remove_pod(&pod.key);
        }
        !spared
    });
    Ok(Candidate { node, victims: lower })
}

/// The summary over all nodes, in upstream's words.
fn message(snapshot: &Snapshot, statuses: &[Status]) -> Reason {
    let total = snapshot.node_count();
    let reasons = statuses.iter().flat_map(|status| &status.reasons).map(|reason| (reason.as_str(), 1));
    let hopeless = ("Preemption is not helpful for scheduling", total - statuses.len());
    let counts = count_reasons(reasons.chain([hopeless]));
    format!("preemption: 0/{total} nodes are available: {counts}.").into()
}
