//! Cordoned nodes take only pods that tolerate being there.

use k8s_openapi::api::core::v1::Taint;

use crate::framework::{ClusterEvent, Cycle, Filter, Hint, NodeFilter, Plugin, QueueingHints, Reach, Status};
use crate::pod::PodInfo;
use crate::selector::tolerated;
use crate::snapshot::NodeView;

/// Refuses nodes with `spec.unschedulable`.
#[derive(Debug, Clone, Copy)]
pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    crate::takes_part!(Filter, QueueingHints);
}

fn tolerates_cordon(pod: &PodInfo) -> bool {
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    tolerated(pod.tolerations(), &taint)
}

impl Filter for NodeUnschedulable {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        (!tolerates_cordon(cycle.pod)).then(|| Box::new(*self) as Box<dyn NodeFilter>)
    }
}

impl NodeFilter for NodeUnschedulable {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        if node.unschedulable() { Err(Status::unresolvable("node(s) were unschedulable")) } else { Ok(()) }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

impl QueueingHints for NodeUnschedulable {
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        match event {
            ClusterEvent::NodeAdded(node) if !node.unschedulable => Hint::Queue,
            ClusterEvent::NodeUpdated { old, new } if old.unschedulable && !new.unschedulable => Hint::Queue,
            ClusterEvent::PodUpdated { new, .. } if new.uid == pod.uid && tolerates_cordon(new) => {
                Hint::Queue
            }
            ClusterEvent::Unknown => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}
