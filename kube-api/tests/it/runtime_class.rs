//! Pods that ask for a runtime get what its class says.

use serde_json::{Value, json};

use crate::raw::{Admin, Answer, admin};

const PODS: &str = "/api/v1/namespaces/default/pods";
const CLASSES: &str = "/apis/node.k8s.io/v1/runtimeclasses";

async fn with_class(overhead: Value, scheduling: Value) -> Admin {
    let admin = admin().await;
    admin.client().await;
    let mut class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "slow"},
        "handler": "slow"});
    for (key, value) in [("overhead", overhead), ("scheduling", scheduling)] {
        if !value.is_null() {
            class[key] = value;
        }
    }
    admin.post(CLASSES, class).await.ok();
    admin
}

async fn create(admin: &Admin, name: &str, class: &str, mut spec: Value) -> Answer {
    spec["containers"] = json!([{"name": "c", "image": "pause"}]);
    if !class.is_empty() {
        spec["runtimeClassName"] = class.into();
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    admin.post(PODS, pod).await
}

#[track_caller]
fn refused(answer: &Answer, reason: &str) {
    let (code, _, message) = answer.status();
    assert_eq!((code, message), (403, format!("pods \"p\" is forbidden: {reason}")));
}

#[tokio::test]
async fn pods_cost_what_their_runtime_costs() {
    let admin = with_class(json!({"podFixed": {"cpu": "1", "memory": "1Gi"}}), Value::Null).await;
    let pod = create(&admin, "a", "slow", json!({})).await.ok();
    assert_eq!(pod["spec"]["overhead"], json!({"cpu": "1", "memory": "1Gi"}));
    let written = json!({"overhead": {"cpu": "1000m", "memory": "1073741824"}});
    let pod = create(&admin, "b", "slow", written).await.ok();
    assert_eq!(pod["spec"]["overhead"], json!({"cpu": "1", "memory": "1Gi"}));
    let pod = create(&admin, "c", "", json!({})).await.ok();
    assert_eq!(pod["spec"].get("overhead"), None);

    let other = || json!({"overhead": {"cpu": "2", "memory": "1Gi"}});
    let mismatch = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
    refused(&create(&admin, "p", "slow", other()).await, mismatch);
    let unfounded = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
    refused(&create(&admin, "p", "", other()).await, unfounded);
    let missing = create(&admin, "p", "none", json!({})).await;
    refused(&missing, "pod rejected: RuntimeClass \"none\" not found");
}

#[tokio::test]
async fn pods_run_where_their_runtime_does() {
    let tolerations = json!([{"key": "slow", "operator": "Exists", "effect": "NoSchedule"}]);
    let scheduling = json!({"nodeSelector": {"runtime": "slow"}, "tolerations": tolerations});
    let admin = with_class(Value::Null, scheduling).await;
    let own = json!({"nodeSelector": {"zone": "z"},
        "tolerations": [{"key": "slow", "operator": "Equal", "value": "1", "effect": "NoSchedule"}]});
    let pod = create(&admin, "a", "slow", own).await.ok();
    assert_eq!(pod["spec"]["nodeSelector"], json!({"runtime": "slow", "zone": "z"}));
    let keys: Vec<_> = pod["spec"]["tolerations"].as_array().unwrap().iter().map(|t| &t["key"]).collect();
    assert_eq!(keys, ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "slow"]);
    assert_eq!(pod["spec"]["tolerations"][2], tolerations[0]);

    let conflict = create(&admin, "p", "slow", json!({"nodeSelector": {"runtime": "fast"}})).await;
    let reason = "conflict: runtimeClass.scheduling.nodeSelector[runtime] = slow; pod.spec.nodeSelector[runtime] = fast";
    refused(&conflict, reason);
    let unfounded = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
    refused(&create(&admin, "p", "slow", json!({"overhead": {"cpu": "1"}})).await, unfounded);
}
