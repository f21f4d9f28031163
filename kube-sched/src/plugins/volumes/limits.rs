//! A node can have so many volumes of a driver attached, and no more.

use super::{storage_hint, uses};
use crate::framework::{
    ClusterEvent, Cycle, EventKind, Filter, Hint, NodeFilter, Plugin, QueueingHints, Status,
};
use crate::pod::PodInfo;
use crate::snapshot::{NodeView, Snapshot, Storage};

const EXCEEDED: &str = "node(s) exceed max volume count";

/// Refuses nodes whose `CSINode` says that a driver can attach no more volumes.
#[derive(Debug, Clone, Copy)]
pub struct NodeVolumeLimits;

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    crate::takes_part!(Filter, QueueingHints);
}

/// A driver and what tells its volumes apart.
type Attachment = (String, String);

/// The volumes that the pod makes a node attach: the bound ones, and those that will be made for its claims.
fn attachments(storage: &Storage, pod: &PodInfo) -> Vec<Attachment> {
    let of = |claim: &crate::snapshot::Claim| -> Option<Attachment> {
        // A volume that is not known counts as one that is still to be made.
        if let Some(volume) = claim.volume.as_ref().and_then(|name| storage.volume(name)) {
            let csi = volume.object.spec.as_ref()?.csi.as_ref()?;
            return Some((csi.driver.clone(), csi.volume_handle.clone()));
        }
        let class = storage.class(&claim.class)?;
        Some((class.provisioner.clone(), claim.key.to_string()))
    };
    let mut attachments: Vec<_> = uses(pod).filter_map(|used| of(storage.claim(&used.key)?)).collect();
    attachments.sort_unstable();
    attachments.dedup();
    attachments
}

struct Limits<'a> {
    snapshot: &'a Snapshot,
    wanted: Vec<Attachment>,
}

impl Filter for NodeVolumeLimits {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let wanted = attachments(cycle.snapshot.storage(), cycle.pod);
        (!wanted.is_empty())
            .then(|| Box::new(Limits { snapshot: cycle.snapshot, wanted }) as Box<dyn NodeFilter>)
    }
}

impl NodeFilter for Limits<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        let storage = self.snapshot.storage();
        let drivers =
            storage.csi_node(node.name()).map(|csi| csi.spec.drivers.as_slice()).unwrap_or_default();
        let limits: Vec<_> = drivers
            .iter()
            .filter_map(|driver| Some((driver.name.as_str(), driver.allocatable.as_ref()?.count?)))
            .filter(|(name, _)| self.wanted.iter().any(|(driver, _)| driver == name))
            .collect();
        if limits.is_empty() {
            return Ok(());
        }
        // Pods share volumes, which are attached once.
        let mut attached: Vec<Attachment> = Vec::new();
        for volume in node.pods().iter().flat_map(|pod| attachments(storage, pod)) {
            if !attached.contains(&volume) {
                attached.push(volume);
            }
        }
        let full = limits.iter().any(|(driver, limit)| {
            let of_driver = |(name, _): &&Attachment| name == driver;
            let new =
                self.wanted.iter().filter(of_driver).filter(|volume| !attached.contains(volume)).count();
            let after = attached.iter().filter(of_driver).count() + new;
            new > 0 && after > usize::try_from(*limit).unwrap_or_default()
        });
        if full { Err(Status::unschedulable(EXCEEDED)) } else { Ok(()) }
    }
}

impl QueueingHints for NodeVolumeLimits {
    fn events(&self) -> &'static [EventKind] {
        &[EventKind::NodeAdded, EventKind::PodRemoved, EventKind::StorageChanged, EventKind::Unknown]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        match event {
            ClusterEvent::PodRemoved(removed) if uses(removed).next().is_none() => Hint::Skip,
            event => storage_hint(pod, event).unwrap_or(Hint::Queue),
        }
    }
}
