//! How the snapshot takes in the objects that say something about pods: namespaces, budgets, services and workloads.
//!
//! Each function is given the key of an object and how it is now, `None` if it is gone, and says what that is for waiting
//! pods. Budgets and selectors keep no pod from a node, they only weigh what is possible, so they wake nobody.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, ReplicationController, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::framework::ClusterEvent;
use crate::snapshot::{Budget, SelectingKind, Snapshot};

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

pub(super) fn service(snapshot: &mut Snapshot, key: &str, service: Option<Service>) -> Option<ClusterEvent> {
    let selector = service.and_then(|service| service.spec?.selector).map(equal);
    selecting(snapshot, SelectingKind::Service, key, selector.as_ref())
}

pub(super) fn replication_controller(
    snapshot: &mut Snapshot,
    key: &str,
    controller: Option<ReplicationController>,
) -> Option<ClusterEvent> {
    let selector = controller.and_then(|controller| controller.spec?.selector).map(equal);
    selecting(snapshot, SelectingKind::ReplicationController, key, selector.as_ref())
}

pub(super) fn replica_set(
    snapshot: &mut Snapshot,
    key: &str,
    set: Option<ReplicaSet>,
) -> Option<ClusterEvent> {
    let selector = set.and_then(|set| set.spec).map(|spec| spec.selector);
    selecting(snapshot, SelectingKind::ReplicaSet, key, selector.as_ref())
}

pub(super) fn stateful_set(
    snapshot: &mut Snapshot,
    key: &str,
    set: Option<StatefulSet>,
) -> Option<ClusterEvent> {
    let selector = set.and_then(|set| set.spec).map(|spec| spec.selector);
    selecting(snapshot, SelectingKind::StatefulSet, key, selector.as_ref())
}

/// The selector that demands these labels.
fn equal(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// Takes in a selector. An object that has none spreads nothing, as one that is gone.
fn selecting(
    snapshot: &mut Snapshot,
    kind: SelectingKind,
    key: &str,
    selector: Option<&LabelSelector>,
) -> Option<ClusterEvent> {
    let (namespace, name) = key.split_once('/')?;
    snapshot.upsert_selecting(kind, namespace, name, selector);
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
