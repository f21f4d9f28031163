//! How the snapshot takes in the objects that say something about pods: storage, devices, namespaces, budgets, services and
//! workloads.
//!
//! Each function is given the key of an object and how it is now, `None` if it is gone, and says what that is for waiting
//! pods. Budgets and selectors keep no pod from a node, they only weigh what is possible, so they wake nobody.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};
use k8s_openapi::api::scheduling::v1alpha1::Workload;
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;

use super::watched::Described;
use crate::framework::ClusterEvent;
use crate::snapshot::{Budget, ClaimChange, SelectingKind, Snapshot};

/// A namespace, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Namespace {
    metadata: ObjectMeta,
}

impl Described for Namespace {
    fn described(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A service or workload, as far as it matters here: what it makes pods of may be large and is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Selecting<S> {
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<Selection<S>>,
}

#[derive(Debug, Deserialize)]
struct Selection<S> {
    selector: Option<S>,
}

/// What services and replication controllers select pods by.
type EqualLabels = BTreeMap<String, String>;

impl<S> Described for Selecting<S> {
    fn described(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<S> Selecting<S> {
    fn into_selector(self) -> Option<S> {
        self.spec?.selector
    }
}

/// Storage keeps pods from nodes, so that every change of it may help some.
macro_rules! storage {
    ($($take_in:ident $kind:ident $upsert:ident $remove:ident),+ $(,)?) => {
        $(pub(super) fn $take_in(snapshot: &mut Snapshot, key: &str, object: Option<$kind>) -> Option<ClusterEvent> {
            match object {
                Some(object) => snapshot.storage_mut().$upsert(object),
                None => snapshot.storage_mut().$remove(key),
            }
            Some(ClusterEvent::StorageChanged { claim: None })
        })+
    };
}

storage! {
    volume PersistentVolume upsert_volume remove_volume,
    class StorageClass upsert_class remove_class,
    csi_node CSINode upsert_csi_node remove_csi_node,
    csi_driver CSIDriver upsert_csi_driver remove_csi_driver,
    capacity CSIStorageCapacity upsert_capacity remove_capacity,
}

/// A claim concerns the pods that use it and no others.
pub(super) fn claim(
    snapshot: &mut Snapshot,
    key: &str,
    claim: Option<PersistentVolumeClaim>,
) -> Option<ClusterEvent> {
    match claim {
        Some(claim) => snapshot.storage_mut().upsert_claim(claim),
        None => snapshot.storage_mut().remove_claim(key),
    }
    Some(ClusterEvent::StorageChanged { claim: Some(key.into()) })
}

/// Those who wait for a claim, and for devices that it gave back, may be helped. One that is gone helps nobody: its devices were given
/// back before.
pub(super) fn device_claim(
    snapshot: &mut Snapshot,
    key: &str,
    claim: Option<ResourceClaim>,
) -> Option<ClusterEvent> {
    let Some(claim) = claim else {
        snapshot.devices_mut().remove_claim(key);
        return None;
    };
    let ClaimChange { created, deallocated, status } = snapshot.devices_mut().take_in_claim(claim);
    let changed = created || deallocated || status;
    changed.then(|| ClusterEvent::ClaimChanged { key: key.into(), created, deallocated, status })
}

pub(super) fn device_class(
    snapshot: &mut Snapshot,
    name: &str,
    class: Option<DeviceClass>,
) -> Option<ClusterEvent> {
    let Some(class) = class else {
        snapshot.devices_mut().remove_class(name);
        return None;
    };
    snapshot.devices_mut().upsert_class(class);
    Some(ClusterEvent::DeviceClassChanged)
}

/// A slice that is gone may make its pool complete or valid.
pub(super) fn device_slice(
    snapshot: &mut Snapshot,
    name: &str,
    slice: Option<ResourceSlice>,
) -> Option<ClusterEvent> {
    match slice {
        Some(slice) => snapshot.devices_mut().upsert_slice(&slice),
        None => snapshot.devices_mut().remove_slice(name),
    }
    Some(ClusterEvent::DevicesChanged)
}

pub(super) fn workload(
    snapshot: &mut Snapshot,
    key: &str,
    workload: Option<Workload>,
) -> Option<ClusterEvent> {
    let Some(workload) = workload else {
        snapshot.gangs_mut().remove_workload(key);
        return None;
    };
    snapshot.gangs_mut().upsert_workload(key, workload);
    Some(ClusterEvent::WorkloadChanged { key: key.into() })
}

/// Affinity may look at the labels of namespaces. A list names all of them again, so those that are as before wake nobody.
pub(super) fn namespace(
    snapshot: &mut Snapshot,
    name: &str,
    namespace: Option<Namespace>,
) -> Option<ClusterEvent> {
    let labels = namespace.map(|namespace| namespace.metadata.labels.unwrap_or_default());
    if snapshot.namespace_labels(name).map(|known| &**known) == labels.as_ref() {
        return None;
    }
    match labels {
        Some(labels) => snapshot.upsert_namespace(name, labels),
        None => snapshot.remove_namespace(name),
    }
    Some(ClusterEvent::Unknown)
}

pub(super) fn budget(
    snapshot: &mut Snapshot,
    key: &str,
    budget: Option<PodDisruptionBudget>,
) -> Option<ClusterEvent> {
    let (namespace, name) = key.split_once('/')?;
    match budget {
        Some(budget) => snapshot.upsert_budget(namespace, name, Budget::parse(&budget)),
        None => snapshot.remove_budget(namespace, name),
    }
    None
}

pub(super) fn service(
    snapshot: &mut Snapshot,
    key: &str,
    service: Option<Selecting<EqualLabels>>,
) -> Option<ClusterEvent> {
    by_labels(snapshot, SelectingKind::Service, key, service)
}

pub(super) fn replication_controller(
    snapshot: &mut Snapshot,
    key: &str,
    controller: Option<Selecting<EqualLabels>>,
) -> Option<ClusterEvent> {
    by_labels(snapshot, SelectingKind::ReplicationController, key, controller)
}

pub(super) fn replica_set(
    snapshot: &mut Snapshot,
    key: &str,
    set: Option<Selecting<LabelSelector>>,
) -> Option<ClusterEvent> {
    selecting(snapshot, SelectingKind::ReplicaSet, key, set.and_then(Selecting::into_selector))
}

pub(super) fn stateful_set(
    snapshot: &mut Snapshot,
    key: &str,
    set: Option<Selecting<LabelSelector>>,
) -> Option<ClusterEvent> {
    selecting(snapshot, SelectingKind::StatefulSet, key, set.and_then(Selecting::into_selector))
}

fn by_labels(
    snapshot: &mut Snapshot,
    kind: SelectingKind,
    key: &str,
    object: Option<Selecting<EqualLabels>>,
) -> Option<ClusterEvent> {
    let labels = object.and_then(Selecting::into_selector);
    let selector = labels.map(|labels| LabelSelector { match_labels: Some(labels), match_expressions: None });
    selecting(snapshot, kind, key, selector)
}

/// Takes in a selector. An object that has none spreads nothing, as one that is gone.
fn selecting(
    snapshot: &mut Snapshot,
    kind: SelectingKind,
    key: &str,
    selector: Option<LabelSelector>,
) -> Option<ClusterEvent> {
    let (namespace, name) = key.split_once('/')?;
    snapshot.upsert_selecting(kind, namespace, name, selector.as_ref());
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{from_value, json};

    use super::*;
    use crate::PodInfo;

    fn labels(value: &str) -> Namespace {
        from_value(json!({"metadata": {"name": "ns", "labels": {"team": value}}})).unwrap()
    }

    /// A pod that the selectors below mean.
    fn web() -> PodInfo {
        let pod: Pod =
            from_value(json!({"metadata": {"namespace": "ns", "name": "p", "labels": {"app": "web"}},
            "spec": {"containers": []}}))
            .unwrap();
        PodInfo::parse(pod).unwrap()
    }

    #[test]
    fn a_namespace_wakes_pods_when_its_labels_change() {
        let mut snapshot = Snapshot::new();
        let steps = [(None, false), (Some("a"), true), (Some("a"), false), (Some("b"), true), (None, true)];
        for (value, wakes) in steps {
            let event = namespace(&mut snapshot, "ns", value.map(labels));
            assert_eq!(event.is_some(), wakes, "{value:?}");
            let known = snapshot.namespace_labels("ns").and_then(|labels| labels.get("team"));
            assert_eq!(known.map(String::as_str), value);
        }
    }

    #[test]
    fn a_service_without_a_selector_spreads_nothing() {
        let pod = web();
        let mut snapshot = Snapshot::new();
        let selecting = |selector| from_value(json!({"spec": {"selector": selector}})).unwrap();
        for (selector, spreads) in [(json!({"app": "web"}), true), (json!(null), false), (json!({}), false)] {
            for (object, spreads) in [(Some(selecting(selector)), spreads), (None, false)] {
                service(&mut snapshot, "ns/web", object);
                assert_eq!(!snapshot.default_constraints(&pod).is_empty(), spreads);
            }
        }
    }

    #[test]
    fn a_budget_counts_until_it_is_gone() {
        let pods = [Arc::new(web())];
        let mut snapshot = Snapshot::new();
        let spent = json!({"spec": {"selector": {"matchLabels": {"app": "web"}}},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}});
        for (object, breaks) in [(Some(from_value(spent).unwrap()), true), (None, false)] {
            assert!(budget(&mut snapshot, "ns/web", object).is_none());
            assert_eq!(snapshot.breaks_budgets(&pods), [breaks]);
        }
    }
}
