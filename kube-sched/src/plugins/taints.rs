//! Taints keep pods away that do not tolerate them.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::framework::{
    ClusterEvent, Cycle, EventKind, Filter, Hint, NodeFilter, NodeScore, Plugin, QueueingHints, Reach, Score,
    Status, normalize,
};
use crate::pod::PodInfo;
use crate::selector::tolerated;
use crate::snapshot::{NodeId, NodeView, Snapshot};

/// Refuses nodes with untolerated `NoSchedule` and `NoExecute` taints; prefers those with fewer untolerated `PreferNoSchedule` ones.
#[derive(Debug, Clone, Copy)]
pub struct TaintToleration;

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    crate::takes_part!(Filter, Score, QueueingHints);
}

/// The first taint that keeps a pod with these tolerations away.
pub(super) fn untolerated<'a>(tolerations: &[Toleration], taints: &'a [Taint]) -> Option<&'a Taint> {
    let repels = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    taints.iter().filter(repels).find(|taint| !tolerated(tolerations, taint))
}

/// Remembers the verdict on each set of taints: clusters have few of them.
struct Verdicts<'a> {
    tolerations: &'a [Toleration],
    by_set: Vec<Option<Result<(), Status>>>,
}

impl Filter for TaintToleration {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let by_set = vec![None; cycle.snapshot.taint_set_bound()];
        Some(Box::new(Verdicts { tolerations: cycle.pod.tolerations(), by_set }))
    }
}

impl NodeFilter for Verdicts<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        let judge = || {
            let taints = node.taints().map_or(&[][..], |set| set.taints());
            untolerated(self.tolerations, taints).map_or(Ok(()), |taint| {
                let value = taint.value.as_deref().unwrap_or_default();
                Err(Status::unresolvable(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)))
            })
        };
        match self.by_set.get_mut(node.taint_set() as usize) {
            Some(verdict) => verdict.get_or_insert_with(judge).clone(),
            None => judge(),
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

struct Preferences<'a> {
    snapshot: &'a Snapshot,
    /// Untolerated `PreferNoSchedule` taints of each set.
    by_set: Vec<i64>,
}

impl Score for TaintToleration {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let soft = |effect: Option<&str>| matches!(effect, None | Some("" | "PreferNoSchedule"));
        let tolerations: Vec<_> =
            cycle.pod.tolerations().iter().filter(|t| soft(t.effect.as_deref())).cloned().collect();
        let by_set = cycle.snapshot.taint_sets().map(|taints| {
            let repelled = taints
                .iter()
                .filter(|t| t.effect == "PreferNoSchedule" && !tolerated(&tolerations, t))
                .count();
            i64::try_from(repelled).unwrap_or(i64::MAX)
        });
        Some(Box::new(Preferences { snapshot: cycle.snapshot, by_set: by_set.collect() }))
    }
}

impl NodeScore for Preferences<'_> {
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        for (node, score) in nodes.iter().zip(scores) {
            let set = self.snapshot.view(*node).taint_set() as usize;
            *score = self.by_set.get(set).copied().unwrap_or_default();
        }
    }

    fn normalize(&mut self, scores: &mut [i64]) {
        normalize(scores, true);
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

impl QueueingHints for TaintToleration {
    fn events(&self) -> &'static [EventKind] {
        &[EventKind::NodeAdded, EventKind::NodeUpdated, EventKind::PodUpdated, EventKind::Unknown]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let welcome = match event {
            ClusterEvent::NodeAdded(node) => untolerated(pod.tolerations(), &node.taints).is_none(),
            ClusterEvent::NodeUpdated { old, new } => {
                untolerated(pod.tolerations(), &old.taints).is_some()
                    && untolerated(pod.tolerations(), &new.taints).is_none()
            }
            ClusterEvent::PodUpdated { old, new } => {
                new.uid == pod.uid && old.tolerations() != new.tolerations()
            }
            ClusterEvent::Unknown => true,
            _ => false,
        };
        if welcome { Hint::Queue } else { Hint::Skip }
    }
}
