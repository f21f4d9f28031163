//! Which events may help a pod that no node had room for.

use super::NodeResourcesFit;
use crate::framework::{ClusterEvent, Hint, QueueingHints};
use crate::pod::PodInfo;
use crate::resources::Resources;

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
