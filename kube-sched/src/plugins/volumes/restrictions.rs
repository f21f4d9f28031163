//! Some volumes can be used by one pod, or on one node, only.

use k8s_openapi::api::core::v1::Volume as PodVolume;

use super::{claims, storage_hint, uses, volumes_of};
use crate::framework::{
    ClusterEvent, Cycle, EventKind, Filter, Hint, NodeFilter, Plugin, QueueingHints, Status,
};
use crate::pod::PodInfo;
use crate::snapshot::NodeView;

const IN_USE: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
const DISK_CONFLICT: &str = "node(s) had no available disk";

/// Refuses a claim of mode `ReadWriteOncePod` to a second pod, and a disk that is mounted for writing to a second pod on
/// its node.
#[derive(Debug, Clone, Copy)]
pub struct VolumeRestrictions;

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    crate::takes_part!(Filter, QueueingHints);
}

struct Restricted<'a> {
    pod: &'a PodInfo,
    /// Whether another pod uses one of the pod's exclusive claims.
    in_use: bool,
    disks: bool,
}

impl Filter for VolumeRestrictions {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let exclusive: Vec<_> = claims(cycle.snapshot, cycle.pod)
            .filter(|claim| claim.access_modes().iter().any(|mode| mode == "ReadWriteOncePod"))
            .map(|claim| &*claim.key)
            .collect();
        let others =
            || cycle.snapshot.nodes().flat_map(|node| node.pods()).filter(|pod| pod.key != cycle.pod.key);
        let in_use = !exclusive.is_empty()
            && others().any(|pod| uses(pod).any(|used| exclusive.contains(&used.key.as_str())));
        let disks = volumes_of(cycle.pod).iter().any(is_disk);
        (in_use || disks)
            .then(|| Box::new(Restricted { pod: cycle.pod, in_use, disks }) as Box<dyn NodeFilter>)
    }
}

impl NodeFilter for Restricted<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        let conflict = |other: &PodInfo| {
            volumes_of(self.pod).iter().any(|ours| volumes_of(other).iter().any(|theirs| clash(ours, theirs)))
        };
        if self.disks && node.pods().iter().any(|other| conflict(other)) {
            return Err(Status::unschedulable(DISK_CONFLICT));
        }
        if self.in_use { Err(Status::unschedulable(IN_USE)) } else { Ok(()) }
    }
}

fn is_disk(volume: &PodVolume) -> bool {
    volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.iscsi.is_some()
        || volume.rbd.is_some()
}

/// Whether both are the same disk and cannot be mounted on one node at a time.
fn clash(a: &PodVolume, b: &PodVolume) -> bool {
    let writes = |a: Option<bool>, b: Option<bool>| a != Some(true) || b != Some(true);
    if let (Some(a), Some(b)) = (&a.gce_persistent_disk, &b.gce_persistent_disk) {
        return a.pd_name == b.pd_name && writes(a.read_only, b.read_only);
    }
    if let (Some(a), Some(b)) = (&a.aws_elastic_block_store, &b.aws_elastic_block_store) {
        return a.volume_id == b.volume_id;
    }
    if let (Some(a), Some(b)) = (&a.iscsi, &b.iscsi) {
        return a.iqn == b.iqn && writes(a.read_only, b.read_only);
    }
    if let (Some(a), Some(b)) = (&a.rbd, &b.rbd) {
        return a.monitors.iter().any(|monitor| b.monitors.contains(monitor))
            && a.pool == b.pool
            && a.image == b.image
            && writes(a.read_only, b.read_only);
    }
    false
}

impl QueueingHints for VolumeRestrictions {
    fn events(&self) -> &'static [EventKind] {
        &[EventKind::NodeAdded, EventKind::PodRemoved, EventKind::StorageChanged, EventKind::Unknown]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let helps = match event {
            ClusterEvent::PodRemoved(removed) => {
                let shares = uses(pod).any(|ours| uses(removed).any(|theirs| ours == theirs));
                let clashes =
                    || volumes_of(pod).iter().any(|a| volumes_of(removed).iter().any(|b| clash(a, b)));
                shares || clashes()
            }
            event => storage_hint(pod, event).is_none_or(|hint| hint == Hint::Queue),
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}
