//! Pods: those that are there, and those that want a place.

use serde_json::{Value, json};

use super::draw::Draw;
use super::selectors::{node_term, pod_labels, pod_term, spread};
use super::{APPS, IMAGES, Item, NAMESPACES, Theme, ZONE, ZONES, devices, storage};

/// A pod that has a node. It may ask for more than the node has: nobody has asked a kubelet.
pub(super) fn placed(draw: &mut Draw, theme: Theme, at: usize, nodes: usize) -> Item {
    let mut pod = pod(draw, theme, &format!("old-{at}"));
    let spec = &mut pod["spec"];
    spec["nodeName"] = format!("node-{}", draw.below(nodes)).into();
    if draw.chance(10) {
        spec["terminationGracePeriodSeconds"] = 30.into();
    }
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let item = Item::new(format!("/api/v1/namespaces/{namespace}/pods"), pod.clone());
    let phase = if draw.chance(4) { "Succeeded" } else { "Running" };
    // No two started at once: of such ones upstream takes any for the more important.
    let started = format!("2026-01-01T{:02}:{:02}:{:02}Z", draw.below(24), at / 60, at % 60);
    item.with_status(json!({"phase": phase, "startTime": started}))
}

/// A pod that wants a place.
pub(super) fn pending(draw: &mut Draw, theme: Theme, at: usize) -> Value {
    let mut pod = pod(draw, theme, &format!("new-{at}"));
    if draw.chance(2) {
        pod["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]);
    }
    pod
}

fn pod(draw: &mut Draw, theme: Theme, name: &str) -> Value {
    let namespace = draw.one(NAMESPACES);
    let mut metadata = json!({"name": name, "namespace": namespace, "labels": pod_labels(draw)});
    if draw.chance(25) {
        metadata["ownerReferences"] = owner(draw);
    }
    let mut spec = json!({"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false});
    if draw.chance(if theme == Theme::Preemption { 85 } else { 15 }) {
        let class = if draw.chance(5) { "p-none" } else { draw.one(&["p-low", "p-1", "p-1", "p-2", "p-3"]) };
        spec["priorityClassName"] = class.into();
    }
    containers(draw, &mut spec);
    placement(draw, &mut spec);
    if theme == Theme::Volumes {
        storage::mount(draw, &mut spec);
    }
    if theme == Theme::Devices {
        devices::claim(draw, &mut spec);
    }
    json!({"metadata": metadata, "spec": spec})
}

fn owner(draw: &mut Draw) -> Value {
    let kind = draw.one(&["ReplicaSet", "StatefulSet"]);
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": draw.one(APPS), "uid": "u", "controller": true}])
}

fn containers(draw: &mut Draw, spec: &mut Value) {
    let whole = draw.chance(8);
    let amount = |draw: &mut Draw, name: &str, sidecar: bool| {
        let mut container = json!({"name": name, "image": draw.one(IMAGES)});
        if !whole {
            container["resources"] = resources(draw);
        }
        if sidecar {
            container["restartPolicy"] = "Always".into();
        }
        container
    };
    let number = 1 + draw.below(2);
    spec["containers"] = (0..number).map(|at| amount(draw, &format!("c{at}"), false)).collect();
    if draw.chance(25) {
        let number = 1 + draw.below(3);
        spec["initContainers"] = (0..number)
            .map(|at| {
                let sidecar = draw.chance(50);
                amount(draw, &format!("i{at}"), sidecar)
            })
            .collect();
    }
    if whole {
        spec["resources"] = json!({"requests": draw.fields(&[("cpu", 80, &["100m", "2"]), ("memory", 80, &["64Mi", "1Gi"])])});
    }
    if draw.chance(12) {
        let port = draw.number(&[8080, 8081]);
        let protocol = draw.one(&["TCP", "TCP", "UDP"]);
        spec["containers"][0]["ports"] = json!([{"containerPort": port, "hostPort": port, "protocol": protocol,
            "hostIP": draw.one(&["", "127.0.0.1", "0.0.0.0", "10.0.0.1"])}]);
    }
    if draw.chance(8) {
        spec["runtimeClassName"] = "heavy".into();
    }
}

fn resources(draw: &mut Draw) -> Value {
    let mut requests = draw.fields(&[
        ("cpu", 70, &["0", "100m", "250m", "500m", "1", "1.5", "3"]),
        ("memory", 70, &["0", "64Mi", "200M", "512Mi", "1Gi", "3Gi"]),
        ("ephemeral-storage", 8, &["1Gi", "20Gi"]),
    ]);
    let mut limits = json!({});
    if draw.chance(8) {
        requests["example.com/gpu"] = draw.one(&["1", "2"]).into();
        limits["example.com/gpu"] = requests["example.com/gpu"].clone();
    }
    if draw.chance(3) {
        requests["hugepages-2Mi"] = "2Mi".into();
        limits["hugepages-2Mi"] = "2Mi".into();
        requests["cpu"] = "100m".into();
    }
    json!({"requests": requests, "limits": limits})
}

fn placement(draw: &mut Draw, spec: &mut Value) {
    if draw.chance(8) {
        spec["nodeSelector"] = draw.fields(&[("disk", 70, &["ssd", "hdd"]), (ZONE, 50, ZONES)]);
    }
    if draw.chance(15) {
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] =
            draw.few(2, node_term);
    }
    if draw.chance(20) {
        spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] =
            draw.few(3, |draw| json!({"weight": draw.number(&[1, 10, 100]), "preference": node_term(draw)}));
    }
    for (kind, required, preferred) in [("podAffinity", 10, 20), ("podAntiAffinity", 12, 20)] {
        if draw.chance(required) {
            spec["affinity"][kind]["requiredDuringSchedulingIgnoredDuringExecution"] = draw.few(2, pod_term);
        }
        if draw.chance(preferred) {
            spec["affinity"][kind]["preferredDuringSchedulingIgnoredDuringExecution"] = draw.few(
                2,
                |draw| json!({"weight": draw.number(&[1, 20, 100]), "podAffinityTerm": pod_term(draw)}),
            );
        }
    }
    if draw.chance(30) {
        let mut constraints = draw.few(2, spread);
        if let Some(list) = constraints.as_array_mut() {
            list.dedup_by_key(|one| format!("{}{}", one["topologyKey"], one["whenUnsatisfiable"]));
        }
        spec["topologySpreadConstraints"] = constraints;
    }
    if draw.chance(35) {
        spec["tolerations"] = draw.few(3, toleration);
    }
}

fn toleration(draw: &mut Draw) -> Value {
    let key = draw.one(&["dedicated", "flaky", "node.kubernetes.io/unschedulable", "size"]);
    let effect = draw.one(&["", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
    match draw.below(4) {
        0 if draw.chance(30) => json!({"operator": "Exists"}),
        0 | 1 => json!({"key": key, "operator": "Exists", "effect": effect}),
        _ => json!({"key": key, "operator": "Equal", "value": draw.one(&["a", "b", ""]), "effect": effect}),
    }
}
