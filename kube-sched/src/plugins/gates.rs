//! Pods with scheduling gates stay out of the queue.

use crate::framework::{ClusterEvent, EventKind, Hint, Plugin, PreEnqueue, QueueingHints, Status};
use crate::pod::PodInfo;
use crate::snapshot::GateView;

/// Holds a pod back while `spec.schedulingGates` is not empty.
#[derive(Debug, Clone, Copy)]
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    crate::takes_part!(PreEnqueue, QueueingHints);
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &PodInfo, _: &GateView) -> Result<(), Status> {
        let names = gates(pod);
        if names.is_empty() {
            return Ok(());
        }
        Err(Status::unresolvable(format!("waiting for scheduling gates: [{}]", names.join(" "))))
    }
}

fn gates(pod: &PodInfo) -> Vec<&str> {
    let gates = pod.spec().and_then(|spec| spec.scheduling_gates.as_deref()).unwrap_or_default();
    gates.iter().map(|gate| gate.name.as_str()).collect()
}

impl QueueingHints for SchedulingGates {
    fn events(&self) -> &'static [EventKind] {
        &[EventKind::PodUpdated, EventKind::Unknown]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        match event {
            ClusterEvent::PodUpdated { new, .. } if new.uid == pod.uid && gates(new).is_empty() => {
                Hint::Queue
            }
            ClusterEvent::Unknown => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}
