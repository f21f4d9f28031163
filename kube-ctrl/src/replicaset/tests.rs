use super::{View, plan, rank, status};
use crate::claim::Claim;
use crate::runner::{Action, Object};
use crate::{Error, Result};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn merged(mut base: Value, patch: Value) -> Value {
    for (name, value) in patch.as_object().unwrap() {
        match value {
            Value::Object(_) => base[name] = merged(base[name].clone(), value.clone()),
            _ => base[name] = value.clone(),
        }
    }
    base
}

/// A bound, running, ready pod, changed by a patch.
fn pod(name: &str, patch: Value) -> Arc<Pod> {
    let base = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"app": "web"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running",
                   "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"}]},
    });
    Arc::new(serde_json::from_value(merged(base, patch)).unwrap())
}

fn view(replicas: i32, min_ready: i32, pods: Vec<Arc<Pod>>) -> View {
    let set: ReplicaSet = serde_json::from_value(json!({
        "metadata": {"name": "web-x", "namespace": "ns", "uid": "rs", "generation": 2},
        "spec": {"replicas": replicas, "minReadySeconds": min_ready, "selector": {"matchLabels": {"app": "web"}},
                 "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
    }))
    .unwrap();
    let claim = Claim { owned: pods, adopt: Vec::new(), release: Vec::new() };
    View { set: Arc::new(set), claim, crowd: HashMap::from([("n1".into(), 3), ("n2".into(), 1)]) }
}

#[test]
fn missing_pods_are_created_and_those_that_go_do_not_count() {
    let going = pod("going", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:30:00Z"}}));
    let plan = plan::plan(&view(3, 0, vec![pod("a", json!({})), going]), now());
    let [Action::SlowStart(creates)] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(creates.len(), 2);
    let Action::Create(Object::Pod(pod), Some(announce)) = &creates[0] else { panic!("{creates:?}") };
    assert_eq!(pod.metadata.generate_name.as_deref(), Some("web-x-"));
    let owner = &pod.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
        ("ReplicaSet", Some(true), Some(true))
    );
    assert_eq!(announce.done, Some(("SuccessfulCreate", "Created pod: ")));
}

#[test]
fn a_set_that_is_being_deleted_creates_nothing() {
    let mut view = view(3, 0, vec![]);
    let mut set = view.set.as_ref().clone();
    set.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:30:00Z")).unwrap();
    view.set = Arc::new(set);
    assert_eq!(plan::plan(&view, now()).actions, []);
}

#[test]
fn the_least_wanted_pod_goes_first() {
    let check = |worse: Value, better: Value| {
        let pods = vec![pod("b", better.clone()), pod("a", worse.clone())];
        let crowd = HashMap::from([("n1".into(), 3), ("n2".into(), 1)]);
        let doomed = rank::least_wanted(pods, &crowd, 1, now());
        assert_eq!(doomed[0].metadata.name.as_deref(), Some("a"), "{worse} should go before {better}");
    };
    let cost = |cost: &str| json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}});
    let ready = |since: &str| json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]}});
    check(json!({"spec": {"nodeName": ""}}), json!({}));
    check(json!({"status": {"phase": "Pending"}}), json!({"status": {"phase": "Unknown"}}));
    check(json!({"status": {"phase": "Unknown"}}), json!({}));
    check(json!({"status": {"conditions": []}}), json!({}));
    check(cost("-5"), json!({}));
    check(json!({}), cost("5"));
    check(json!({}), json!({"spec": {"nodeName": "n2"}}));
    check(ready("2026-01-01T00:59:00Z"), ready("2026-01-01T00:00:00Z"));
    check(json!({"metadata": {"creationTimestamp": "2026-01-01T00:59:59Z"}}), json!({}));
}

fn told(view: &View, outcome: Result<()>) -> (ReplicaSet, Option<std::time::Duration>) {
    let report = status::report(view, &outcome, now());
    match report.actions.into_iter().next() {
        Some(Action::UpdateStatus(Object::ReplicaSet(set))) => (*set, report.requeue),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_status_counts() {
    let fresh = pod(
        "c",
        json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:59:50Z"}]}}),
    );
    let going = pod("d", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:30:00Z"}}));
    let pods = vec![pod("a", json!({})), pod("b", json!({"status": {"conditions": []}})), fresh, going];
    let (set, requeue) = told(&view(3, 30, pods), Ok(()));
    let status = set.status.unwrap();
    let counts = [
        Some(status.replicas),
        status.fully_labeled_replicas,
        status.ready_replicas,
        status.available_replicas,
    ];
    assert_eq!(counts, [Some(3), Some(3), Some(2), Some(1)]);
    assert_eq!((status.terminating_replicas, status.observed_generation), (Some(1), Some(2)));
    assert_eq!(requeue, Some(std::time::Duration::from_secs(20)), "when the third becomes available");
}

#[test]
fn a_failure_is_told_in_a_condition() {
    let error =
        Error::Rejected(Box::new(kube::core::Status { message: "quota".into(), ..Default::default() }));
    let (set, _) = told(&view(3, 0, vec![]), Err(error));
    let condition = set.status.unwrap().conditions.unwrap().remove(0);
    assert_eq!(
        (condition.type_.as_str(), condition.reason.as_deref()),
        ("ReplicaFailure", Some("FailedCreate"))
    );
    assert_eq!(condition.message.as_deref(), Some("quota"));
}
