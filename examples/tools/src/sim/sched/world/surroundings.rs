//! What is neither a node nor a pod and has no theme of its own.

use serde_json::{Value, json};

use super::draw::Draw;
use super::selectors::pod_selector;
use super::{APPS, Item, NAMESPACES};

/// The classes of priority; `p-none` preempts nobody.
pub(super) const PRIORITIES: &[(&str, i32)] =
    &[("p-low", -5), ("p-1", 10), ("p-2", 20), ("p-3", 1000), ("p-none", 1000)];

pub(super) fn items(draw: &mut Draw) -> Vec<Item> {
    let mut items: Vec<_> = PRIORITIES.iter().map(|(name, value)| priority(name, *value)).collect();
    items.push(Item::new(
        "/apis/node.k8s.io/v1/runtimeclasses",
        json!({"metadata": {"name": "heavy"}, "handler": "heavy",
            "overhead": {"podFixed": {"cpu": "150m", "memory": "100Mi"}}}),
    ));
    for namespace in NAMESPACES {
        items.extend(namespace_items(draw, namespace));
    }
    items
}

fn priority(name: &str, value: i32) -> Item {
    let policy = if name == "p-none" { "Never" } else { "PreemptLowerPriority" };
    let object = json!({"metadata": {"name": name}, "value": value, "preemptionPolicy": policy});
    Item::new("/apis/scheduling.k8s.io/v1/priorityclasses", object)
}

fn namespace_items(draw: &mut Draw, name: &str) -> Vec<Item> {
    let labels = draw
        .fields(&[("team", 70, &["red", "blue"]), ("resource.kubernetes.io/admin-access", 100, &["true"])]);
    let mut items = vec![
        Item::new("/api/v1/namespaces", json!({"metadata": {"name": name, "labels": labels}})),
        Item::new(
            format!("/api/v1/namespaces/{name}/serviceaccounts"),
            json!({"metadata": {"name": "default"}}),
        ),
    ];
    for app in APPS {
        if draw.chance(25) {
            let spec = json!({"selector": {"app": app}, "ports": [{"port": 80}]});
            items.push(Item::new(format!("/api/v1/namespaces/{name}/services"), named(app, &spec)));
        }
        if draw.chance(40) {
            items.push(controller(draw, name, app));
        }
        if draw.chance(40) {
            items.push(budget(draw, name, app));
        }
    }
    items
}

fn named(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

fn controller(draw: &mut Draw, namespace: &str, app: &str) -> Item {
    let kind = draw.one(&["replicasets", "statefulsets"]);
    let labels = json!({"app": app});
    let template =
        json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec =
        json!({"replicas": 0, "selector": {"matchLabels": labels}, "template": template, "serviceName": "s"});
    Item::new(format!("/apis/apps/v1/namespaces/{namespace}/{kind}"), named(app, &spec))
}

fn budget(draw: &mut Draw, namespace: &str, app: &str) -> Item {
    let spec = json!({"minAvailable": 1, "selector": pod_selector(draw)});
    let allowed = draw.number(&[0, 0, 1, 2]);
    let status =
        json!({"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1});
    Item::new(format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"), named(app, &spec))
        .with_status(status)
}
