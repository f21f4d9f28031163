//! A pod that names its node runs there or nowhere.

use std::sync::Arc;

use crate::framework::{ClusterEvent, Cycle, Filter, Hint, NodeFilter, Plugin, QueueingHints, Reach, Status};
use crate::pod::PodInfo;
use crate::snapshot::NodeView;

/// Refuses every node but the one in `spec.nodeName`.
#[derive(Debug, Clone, Copy)]
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    crate::takes_part!(Filter, QueueingHints);
}

struct Only<'a>(&'a Arc<str>);

impl Filter for NodeName {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        cycle.pod.node_name.as_ref().map(|name| Box::new(Only(name)) as Box<dyn NodeFilter>)
    }
}

impl NodeFilter for Only<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        if node.name() == &**self.0 {
            Ok(())
        } else {
            Err(Status::unresolvable("node(s) didn't match the requested node name"))
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

impl QueueingHints for NodeName {
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        match event {
            ClusterEvent::NodeAdded(node) if pod.node_name.as_ref() == Some(&node.name) => Hint::Queue,
            ClusterEvent::Unknown => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}
