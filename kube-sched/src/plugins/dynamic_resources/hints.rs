//! What may help a pod that waits for devices.

use super::{DynamicResources, claims};
use crate::framework::{ClusterEvent, EventKind, Hint, QueueingHints};
use crate::pod::PodInfo;

impl QueueingHints for DynamicResources {
    fn events(&self) -> &'static [EventKind] {
        &[
            EventKind::NodeAdded,
            EventKind::NodeUpdated,
            EventKind::ClaimChanged,
            EventKind::DeviceClassChanged,
            EventKind::DevicesChanged,
            EventKind::PodUpdated,
            EventKind::PodRemoved,
            EventKind::Unknown,
        ]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let statuses = |pod: &PodInfo| {
            let status = pod.status.as_ref();
            status.and_then(|status| status.resource_claim_statuses.clone())
        };
        let helps = match event {
            ClusterEvent::NodeUpdated { old, new } => old.labels != new.labels,
            // Devices that were given back may be what anybody waits for.
            ClusterEvent::ClaimChanged { deallocated: true, .. } => true,
            ClusterEvent::ClaimChanged { key, created, status, .. } => {
                (*created || *status) && claims::uses(pod, key)
            }
            ClusterEvent::PodUpdated { old, new } => new.uid == pod.uid && statuses(old) != statuses(new),
            // Its claims are freed by others, but what was only planned for it is free at once.
            ClusterEvent::PodRemoved(other) => claims::any(other),
            ClusterEvent::NodeAdded(_)
            | ClusterEvent::DeviceClassChanged
            | ClusterEvent::DevicesChanged
            | ClusterEvent::Unknown => true,
            _ => false,
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}
