//! The workloads: how many nodes and pods, and what the pods ask for.

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, from_value, json};

use crate::Failure;

const NODES: usize = 5_000;

/// A workload.
pub(super) struct Shape {
    /// The name of its figure when decisions are measured.
    pub(super) core: &'static str,
    /// The name of its figure when bound pods are measured.
    pub(super) bound: &'static str,
    zones: usize,
    initial: usize,
    measured: usize,
    spec: fn() -> Value,
}

pub(super) const SHAPES: &[Shape] = &[
    Shape {
        core: "core/basic",
        bound: "bound/basic",
        zones: 1,
        initial: 1_000,
        measured: 10_000,
        spec: || json!({}),
    },
    Shape {
        core: "core/affinity",
        bound: "bound/affinity",
        zones: 1,
        initial: 5_000,
        measured: 5_000,
        spec: || json!({"affinity": {"podAffinity": required("topology.kubernetes.io/zone")}}),
    },
    Shape {
        core: "core/anti-affinity",
        bound: "bound/anti-affinity",
        zones: 1,
        initial: 1_000,
        measured: 2_000,
        spec: || json!({"affinity": {"podAntiAffinity": required("kubernetes.io/hostname")}}),
    },
    Shape {
        core: "core/spread",
        bound: "bound/spread",
        zones: 3,
        initial: 5_000,
        measured: 5_000,
        spec: || {
            json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"color": "blue"}}}]})
        },
    },
];

fn required(topology: &str) -> Value {
    json!({"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": topology, "labelSelector": {"matchLabels": {"color": "blue"}}}]})
}

impl Shape {
    pub(super) fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let node = |number: usize| {
            let (name, zone) = (format!("node-{number}"), format!("zone-{}", number % self.zones));
            let resources = json!({"cpu": "4", "memory": "32Gi", "pods": "110"});
            Ok(from_value(json!({
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}},
                "status": {"capacity": resources, "allocatable": resources},
            }))?)
        };
        (0..NODES).map(node).collect()
    }

    /// The pods that are there before the measurement; plain, unless the measured ones look for their like.
    pub(super) fn initial(&self) -> Result<Vec<Pod>, Failure> {
        pods("initial", self.initial, &json!({}))
    }

    pub(super) fn measured(&self) -> Result<Vec<Pod>, Failure> {
        pods("measured", self.measured, &(self.spec)())
    }
}

fn pods(name: &str, number: usize, spec: &Value) -> Result<Vec<Pod>, Failure> {
    // Initial pods carry another colour, so that they repel nobody; those that attract have only to find the first of them.
    let colour = if name == "measured" { "blue" } else { "grey" };
    let container = json!({"name": "pause", "image": "registry.k8s.io/pause:3.10.1", "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}});
    let pod = |number: usize| {
        let mut pod = json!({
            "metadata": {"name": format!("{name}-{number}"), "namespace": "default", "labels": {"color": colour}},
            "spec": {"containers": [container]},
        });
        for (field, value) in spec.as_object().into_iter().flatten() {
            pod["spec"][field] = value.clone();
        }
        Ok(from_value(pod)?)
    };
    (0..number).map(pod).collect()
}
