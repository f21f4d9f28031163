//! Finding a volume for a claim, or a place to make one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ObjectReference, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::{CSIStorageCapacity, StorageClass};

use crate::resources::value;
use crate::selector::labels_match;
use crate::snapshot::{Claim, Storage, Volume};

type Labels = BTreeMap<String, String>;

/// The provisioner of classes whose volumes are made by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Whether a claim of this class waits for its first pod.
pub(super) fn waits_for_pod(storage: &Storage, claim: &Claim) -> bool {
    let class = storage.class(&claim.class);
    class.and_then(|class| class.volume_binding_mode.as_deref()) == Some("WaitForFirstConsumer")
}

/// The smallest volume that suits the claim on a node with these labels: one that is reserved for it, or else a free one that
/// is neither planned for another claim nor in `chosen`.
pub(super) fn find<'a>(
    storage: &'a Storage,
    claim: &Claim,
    labels: &Labels,
    chosen: &[(Claim, Volume)],
) -> Option<&'a Volume> {
    let taken = |volume: &Volume| {
        chosen.iter().any(|(_, other)| other.name == volume.name) || storage.is_planned(&volume.name)
    };
    let suitable = storage.volumes_of(&claim.class).filter(|volume| suits(claim, volume) && !taken(volume));
    let mut best: Option<&Volume> = None;
    for volume in suitable {
        match volume.claim() {
            Some(reference) if reserved_for(reference, claim) => {
                return volume.reachable_from(labels).then_some(volume);
            }
            Some(_) => {}
            None => {
                let smaller = best.is_none_or(|best| volume.capacity < best.capacity);
                if smaller && is_available(volume) && volume.reachable_from(labels) {
                    best = Some(volume);
                }
            }
        }
    }
    best
}

/// Whether the volume is what the claim asks for, wherever it is.
fn suits(claim: &Claim, volume: &Volume) -> bool {
    let (Some(wanted), Some(spec)) = (&claim.object.spec, &volume.object.spec) else { return false };
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    let offered = spec.access_modes.as_deref().unwrap_or_default();
    let selected = wanted
        .selector
        .as_ref()
        .is_none_or(|selector| labels_match(Some(selector), volume.object.metadata.labels.as_ref()));
    volume.object.metadata.deletion_timestamp.is_none()
        && volume.capacity >= claim.size
        && mode(&wanted.volume_mode) == mode(&spec.volume_mode)
        && wanted.volume_attributes_class_name == spec.volume_attributes_class_name
        && claim.access_modes().iter().all(|mode| offered.contains(mode))
        && selected
}

fn is_available(volume: &Volume) -> bool {
    volume.object.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available")
}

fn reserved_for(reference: &ObjectReference, claim: &Claim) -> bool {
    let metadata = &claim.object.metadata;
    reference.name == metadata.name
        && reference.namespace == metadata.namespace
        && reference.uid.as_ref().is_none_or(|uid| uid.is_empty() || Some(uid) == metadata.uid.as_ref())
}

/// Why no volume can be made for a claim on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoProvision {
    /// Nobody makes volumes of the class there.
    NotThere,
    /// There is not enough space.
    NoSpace,
}

/// Whether a volume can be made for the claim where nodes have these labels.
pub(super) fn provisionable(storage: &Storage, claim: &Claim, labels: &Labels) -> Result<(), NoProvision> {
    let class = storage.class(&claim.class).ok_or(NoProvision::NotThere)?;
    let provisioner = class.provisioner.as_str();
    if provisioner.is_empty() || provisioner == NO_PROVISIONER {
        return Err(NoProvision::NotThere);
    }
    let topologies = class.allowed_topologies.as_deref().unwrap_or_default();
    if !topologies.is_empty() && !topologies.iter().any(|term| topology_matches(term, labels)) {
        return Err(NoProvision::NotThere);
    }
    if has_space(storage, claim, class, labels) { Ok(()) } else { Err(NoProvision::NoSpace) }
}

/// A term without requirements matches nothing, as in node selectors.
fn topology_matches(term: &TopologySelectorTerm, labels: &Labels) -> bool {
    let requirements = term.match_label_expressions.as_deref().unwrap_or_default();
    !requirements.is_empty()
        && requirements.iter().all(|r| labels.get(&r.key).is_some_and(|value| r.values.contains(value)))
}

/// Whether the driver, if it reports free space at all, has enough of it there.
fn has_space(storage: &Storage, claim: &Claim, class: &StorageClass, labels: &Labels) -> bool {
    let driver = storage.csi_driver(&class.provisioner);
    let reports = driver.and_then(|driver| driver.spec.storage_capacity).unwrap_or_default();
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let fits = |capacity: &CSIStorageCapacity| {
        let limit = capacity.maximum_volume_size.as_ref().or(capacity.capacity.as_ref());
        capacity.storage_class_name == name
            && limit.and_then(|limit| value(&limit.0).ok()).is_some_and(|limit| limit >= claim.size)
            && labels_match(capacity.node_topology.as_ref(), Some(labels))
    };
    !reports || claim.size == 0 || storage.capacities().any(fits)
}
