//! Which events may help a pod that spreading kept from every node.

use super::PodTopologySpread;
use crate::framework::{ClusterEvent, Hint, QueueingHints};
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::terms::SpreadConstraint;

fn hard(pod: &PodInfo) -> impl Iterator<Item = &SpreadConstraint> {
    pod.terms().into_iter().flat_map(|terms| &terms.spread).filter(|constraint| constraint.hard)
}

/// Whether `other` counts for one of the pod's constraints.
fn counts(pod: &PodInfo, other: &PodInfo) -> bool {
    let matches = |constraint: &SpreadConstraint| {
        let mut terms = constraint.query.terms.iter();
        terms.all(|term| term.matches(other.namespace(), other.labels(), || None))
    };
    // Default constraints follow services, which an event does not show.
    hard(pod).next().is_none() || hard(pod).any(matches)
}

fn inside(pod: &PodInfo, node: &NodeInfo) -> bool {
    hard(pod).all(|constraint| node.labels.contains_key(&*constraint.topology))
}

impl QueueingHints for PodTopologySpread {
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let helps = match event {
            ClusterEvent::PodPlaced(other) | ClusterEvent::PodRemoved(other) => counts(pod, other),
            ClusterEvent::PlacedPodUpdated { old, new } => {
                (old.labels() != new.labels() || old.is_terminating() != new.is_terminating())
                    && (counts(pod, old) || counts(pod, new))
            }
            ClusterEvent::NodeAdded(node) | ClusterEvent::NodeRemoved(node) => inside(pod, node),
            ClusterEvent::NodeUpdated { old, new } => {
                (old.labels != new.labels || old.taints != new.taints)
                    && (inside(pod, old) || inside(pod, new))
            }
            ClusterEvent::PodUpdated { old, new } => {
                new.uid == pod.uid && (old.labels() != new.labels() || old.terms() != new.terms())
            }
            _ => matches!(event, ClusterEvent::Unknown),
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}
