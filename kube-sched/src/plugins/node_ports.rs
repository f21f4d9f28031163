//! Host ports can be open only once per node.

use crate::framework::{
    ClusterEvent, Cycle, EventKind, Filter, Hint, NodeFilter, Plugin, QueueingHints, Reach, Status,
};
use crate::pod::{HostPort, PodInfo};
use crate::snapshot::NodeView;

/// Refuses nodes on which a wanted host port is taken.
#[derive(Debug, Clone, Copy)]
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    crate::takes_part!(Filter, QueueingHints);
}

struct Wanted<'a>(&'a [HostPort]);

fn clash(wanted: &[HostPort], used: &[HostPort]) -> bool {
    wanted.iter().any(|port| used.iter().any(|other| port.conflicts(other)))
}

impl Filter for NodePorts {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let wanted = &cycle.pod.template.host_ports;
        (!wanted.is_empty()).then(|| Box::new(Wanted(wanted)) as Box<dyn NodeFilter>)
    }
}

impl NodeFilter for Wanted<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        if clash(self.0, node.ports()) {
            Err(Status::unschedulable("node(s) didn't have free ports for the requested pod ports"))
        } else {
            Ok(())
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

impl QueueingHints for NodePorts {
    fn events(&self) -> &'static [EventKind] {
        &[EventKind::NodeAdded, EventKind::PodRemoved, EventKind::Unknown]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::Unknown => Hint::Queue,
            ClusterEvent::PodRemoved(removed)
                if clash(&pod.template.host_ports, &removed.template.host_ports) =>
            {
                Hint::Queue
            }
            _ => Hint::Skip,
        }
    }
}
