//! A node must have room for a pod; the emptier it is, the better.

use std::sync::Arc;

use crate::framework::{
    ClusterEvent, Code, Cycle, Filter, Hint, MAX_NODE_SCORE, NodeFilter, NodeScore, Plugin, QueueingHints,
    Reach, Reason, Score, Status,
};
use crate::pod::PodInfo;
use crate::resources::{Amounts, Resources};
use crate::snapshot::{NodeId, NodeView, Snapshot};

/// Refuses nodes without enough free resources; prefers those with the most left (`LeastAllocated` over CPU and memory).
#[derive(Debug, Clone, Copy)]
pub struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn as_queueing_hints(&self) -> Option<&dyn QueueingHints> {
        Some(self)
    }
}

struct Fit<'a> {
    base: Amounts,
    extended: &'a [(Arc<str>, i64)],
}

impl Filter for NodeResourcesFit {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let Resources { base, extended } = &cycle.pod.requests;
        Some(Box::new(Fit { base: *base, extended }))
    }
}

impl NodeFilter for Fit<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        let (total, used) = (node.allocatable(), node.requested());
        let fits = |wanted: i64, total: i64, used: i64| wanted == 0 || wanted <= total.saturating_sub(used);
        let base = fits(1, total.pods, used.pods)
            && fits(self.base.milli_cpu, total.milli_cpu, used.milli_cpu)
            && fits(self.base.memory, total.memory, used.memory)
            && fits(self.base.ephemeral_storage, total.ephemeral_storage, used.ephemeral_storage);
        let rest = || {
            self.extended.iter().all(|(name, wanted)| {
                let (total, used) = node.extended(name);
                fits(*wanted, total, used)
            })
        };
        if base && rest() { Ok(()) } else { Err(self.explain(node)) }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

impl Fit<'_> {
    /// Every resource that is short, in upstream's words.
    fn explain(&self, node: NodeView<'_>) -> Status {
        let (total, used) = (node.allocatable(), node.requested());
        let mut status = Status { code: Code::Unschedulable, reasons: Vec::new() };
        if used.pods + 1 > total.pods {
            status.reasons.push("Too many pods".into());
        }
        let mut judge = |reason: Reason, wanted: i64, total: i64, used: i64| {
            if wanted > 0 && wanted > total.saturating_sub(used) {
                status.reasons.push(reason);
                if wanted > total {
                    status.code = Code::Unresolvable;
                }
            }
        };
        let Amounts { milli_cpu, memory, ephemeral_storage, .. } = self.base;
        judge("Insufficient cpu".into(), milli_cpu, total.milli_cpu, used.milli_cpu);
        judge("Insufficient memory".into(), memory, total.memory, used.memory);
        judge(
            "Insufficient ephemeral-storage".into(),
            ephemeral_storage,
            total.ephemeral_storage,
            used.ephemeral_storage,
        );
        for (name, wanted) in self.extended {
            let (total, used) = node.extended(name);
            judge(format!("Insufficient {name}").into(), *wanted, total, used);
        }
        status
    }
}

struct LeastAllocated<'a> {
    snapshot: &'a Snapshot,
    wanted: Amounts,
}

impl Score for NodeResourcesFit {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        Some(Box::new(LeastAllocated { snapshot: cycle.snapshot, wanted: cycle.pod.nonzero }))
    }
}

/// The share of `capacity` that stays free, of [`MAX_NODE_SCORE`]; `None` for a resource the node does not have.
fn free_share(requested: i64, capacity: i64) -> Option<i64> {
    match capacity {
        0 => None,
        _ if requested > capacity => Some(0),
        // Memory in bytes times a hundred stays far below the limit of i64.
        _ => Some((capacity - requested).saturating_mul(MAX_NODE_SCORE) / capacity),
    }
}

impl NodeScore for LeastAllocated<'_> {
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        for (node, score) in nodes.iter().zip(scores) {
            let view = self.snapshot.view(*node);
            let (total, used) = (view.allocatable(), view.nonzero_requested());
            let cpu = free_share(used.milli_cpu + self.wanted.milli_cpu, total.milli_cpu);
            let memory = free_share(used.memory + self.wanted.memory, total.memory);
            *score = match (cpu, memory) {
                (Some(cpu), Some(memory)) => (cpu + memory) / 2,
                (one, other) => one.or(other).unwrap_or_default(),
            };
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

impl QueueingHints for NodeResourcesFit {
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let helps = match event {
            ClusterEvent::NodeAdded(node) => room(pod, &node.allocatable),
            ClusterEvent::NodeUpdated { old, new } => {
                room(pod, &new.allocatable) && grew(pod, &old.allocatable, &new.allocatable)
            }
            ClusterEvent::PodRemoved(_) | ClusterEvent::Unknown => true,
            ClusterEvent::PlacedPodUpdated { old, new } => shrank(pod, &old.requests, &new.requests),
            ClusterEvent::PodUpdated { old, new } => {
                new.uid == pod.uid && shrank(pod, &old.requests, &new.requests)
            }
            _ => false,
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}

/// Every resource that the pod asks for, with the amount.
fn wanted(pod: &PodInfo) -> impl Iterator<Item = (&str, i64)> {
    const BASE: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pods"];
    let base = BASE.into_iter().map(|name| (name, pod.requests.get(name)));
    base.chain(pod.requests.extended.iter().map(|(name, amount)| (&**name, *amount)))
        .filter(|(_, amount)| *amount > 0)
}

fn room(pod: &PodInfo, allocatable: &Resources) -> bool {
    wanted(pod).all(|(name, amount)| amount <= allocatable.get(name))
}

fn grew(pod: &PodInfo, old: &Resources, new: &Resources) -> bool {
    wanted(pod).any(|(name, _)| new.get(name) > old.get(name))
}

fn shrank(pod: &PodInfo, old: &Resources, new: &Resources) -> bool {
    wanted(pod).any(|(name, _)| new.get(name) < old.get(name)) || old.base.pods > new.base.pods
}
