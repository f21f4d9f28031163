//! The plugins for volumes. Which storage objects there are is part of the [`Snapshot`]:
//! [`Storage`](crate::snapshot::Storage).

mod binding;
mod limits;
mod matching;
mod prepare;
mod restrictions;
mod zone;

#[cfg(test)]
mod tests;

pub use binding::VolumeBinding;
pub use limits::NodeVolumeLimits;
pub use restrictions::VolumeRestrictions;
pub use zone::VolumeZone;

use k8s_openapi::api::core::v1::Volume as PodVolume;

use crate::framework::{ClusterEvent, Hint};
use crate::pod::PodInfo;
use crate::snapshot::{Claim, Snapshot};

/// A claim that a pod uses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    /// `namespace/name`.
    key: String,
    /// Whether the claim is made for the pod and must belong to it.
    ephemeral: bool,
}

impl Use {
    fn name(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, name)| name)
    }

    fn of(pod: &PodInfo, volume: &PodVolume) -> Option<Self> {
        let (name, ephemeral) = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => (claim.claim_name.clone(), false),
            (None, Some(_)) => (format!("{}-{}", pod.name(), volume.name), true),
            (None, None) => return None,
        };
        Some(Self { key: format!("{}/{name}", pod.namespace()), ephemeral })
    }
}

fn volumes_of(pod: &PodInfo) -> &[PodVolume] {
    pod.spec().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

/// The claims that a pod uses.
fn uses(pod: &PodInfo) -> impl Iterator<Item = Use> {
    volumes_of(pod).iter().filter_map(|volume| Use::of(pod, volume))
}

/// The claims of a pod that exist.
fn claims<'a>(snapshot: &'a Snapshot, pod: &PodInfo) -> impl Iterator<Item = &'a Claim> {
    uses(pod).filter_map(|used| snapshot.storage().claim(&used.key))
}

/// Whether an event about storage may help the pod: everything may, but somebody else's claim.
fn storage_hint(pod: &PodInfo, event: &ClusterEvent) -> Option<Hint> {
    let ClusterEvent::StorageChanged { claim } = event else { return None };
    let helps = claim.as_ref().is_none_or(|claim| uses(pod).any(|used| *used.key == **claim));
    Some(if helps { Hint::Queue } else { Hint::Skip })
}
