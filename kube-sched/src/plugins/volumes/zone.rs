//! Volumes that carry a zone can be reached from that zone only.

use super::{claims, matching::waits_for_pod, storage_hint};
use crate::framework::{
    ClusterEvent, Cycle, EventKind, Feasible, Filter, Hint, NodeFilter, Plugin, PreFilter, QueueingHints,
    Status,
};
use crate::pod::PodInfo;
use crate::snapshot::NodeView;

const CONFLICT: &str = "node(s) had no available volume zone";
/// Each label and the name it had before.
const LABELS: [(&str, &str); 2] = [
    ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
];

/// Refuses nodes outside the zone or region that a bound volume is labelled with.
#[derive(Debug, Clone, Copy)]
pub struct VolumeZone;

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    crate::takes_part!(PreFilter, Filter, QueueingHints);
}

impl PreFilter for VolumeZone {
    fn pre_filter(&self, cycle: &Cycle<'_>) -> Result<Feasible, Status> {
        let storage = cycle.snapshot.storage();
        for claim in claims(cycle.snapshot, cycle.pod) {
            match claim.volume.as_deref() {
                Some(volume) if storage.volume(volume).is_none() => {
                    return Err(Status::unresolvable(format!("persistentvolume {volume:?} not found")));
                }
                None if claim.class.is_empty() && !waits_for_pod(storage, claim) => {
                    return Err(Status::unresolvable(
                        "PersistentVolumeClaim had no pv name and storageClass name",
                    ));
                }
                _ => {}
            }
        }
        Ok(Feasible::All)
    }
}

/// A label, its earlier name, and the values that a node may have.
struct Zones<'a>(Vec<(&'static str, &'static str, Vec<&'a str>)>);

impl Filter for VolumeZone {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let storage = cycle.snapshot.storage();
        let volumes =
            claims(cycle.snapshot, cycle.pod).filter_map(|claim| storage.volume(claim.volume.as_deref()?));
        let mut zones = Vec::new();
        for labels in volumes.filter_map(|volume| volume.object.metadata.labels.as_ref()) {
            for (label, before) in LABELS {
                // A volume in several zones names them all.
                let value = labels.get(label).or_else(|| labels.get(before));
                zones.extend(value.map(|value| (label, before, value.split("__").collect())));
            }
        }
        (!zones.is_empty()).then(|| Box::new(Zones(zones)) as Box<dyn NodeFilter>)
    }
}

impl NodeFilter for Zones<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        let Some(info) = node.info() else { return Ok(()) };
        let of_node = |label: &str, before: &str| info.labels.get(label).or_else(|| info.labels.get(before));
        if LABELS.iter().all(|(label, before)| of_node(label, before).is_none()) {
            // A cluster without zones.
            return Ok(());
        }
        let there = |(label, before, values): &(&str, &str, Vec<&str>)| {
            of_node(label, before).is_some_and(|value| values.contains(&value.as_str()))
        };
        if self.0.iter().all(there) { Ok(()) } else { Err(Status::unresolvable(CONFLICT)) }
    }
}

impl QueueingHints for VolumeZone {
    fn events(&self) -> &'static [EventKind] {
        &[EventKind::NodeAdded, EventKind::NodeUpdated, EventKind::StorageChanged, EventKind::Unknown]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        match event {
            ClusterEvent::NodeUpdated { old, new } if old.labels == new.labels => Hint::Skip,
            event => storage_hint(pod, event).unwrap_or(Hint::Queue),
        }
    }
}
