//! Clusters and pods in the shapes of upstream's scheduler_perf.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube_sched::{NodeInfo, PodInfo, Snapshot};
use serde_json::{Value, from_value, json};

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

/// A workload: nodes, pods that are there already, pods to schedule.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    nodes: usize,
    zones: usize,
    /// Namespaces with the label `team: devops`.
    namespaces: usize,
    /// Each with the number of its node.
    placed: Vec<PodInfo>,
    pub(crate) measured: Vec<PodInfo>,
}

impl Shape {
    /// The cluster before the pods to schedule arrive: pod after pod on node after node.
    pub(crate) fn cluster(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for i in 0..self.namespaces {
            snapshot.upsert_namespace(&format!("ns-{i}"), [("team".to_owned(), "devops".to_owned())].into());
        }
        for i in 0..self.nodes {
            let node = json!({
                "metadata": {"name": format!("node-{i}"), "labels": {HOST: format!("node-{i}"), ZONE: format!("zone-{}", i % self.zones)}},
                "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}},
            });
            let node = NodeInfo::parse(&from_value(node).expect("a node")).expect("quantities");
            snapshot.upsert_node(Arc::new(node));
        }
        for (i, pod) in self.placed.iter().enumerate() {
            snapshot.assume(pod, &format!("node-{}", i % self.nodes).into());
        }
        snapshot
    }
}

fn pods(count: usize, prefix: &str, namespace: &str, labels: &Value, spec: &Value) -> Vec<PodInfo> {
    let pod = |i| -> Pod {
        let mut pod = json!({"metadata": {"name": format!("{prefix}-{i}"), "namespace": namespace, "labels": labels}, "spec": spec});
        if pod["spec"]["containers"].is_null() {
            pod["spec"]["containers"] = containers("100m");
        }
        from_value(pod).expect("a pod")
    };
    (0..count).map(|i| PodInfo::parse(pod(i)).expect("quantities")).collect()
}

fn containers(cpu: &str) -> Value {
    json!([{"name": "pause", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}}}])
}

fn required(kind: &str, color: &str, topology: &str, namespaces: Value) -> Value {
    let mut term = json!({"labelSelector": {"matchLabels": {"color": color}}, "topologyKey": topology});
    for (key, value) in namespaces.as_object().into_iter().flatten() {
        term[key] = value.clone();
    }
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}

/// All shapes.
pub(crate) fn all() -> Vec<Shape> {
    vec![basic(), affinity(), anti_affinity(), ns_anti_affinity(), spread(), preemption()]
}

/// SchedulingBasic, 5,000 nodes and 10,000 pods.
pub(crate) fn basic() -> Shape {
    let (labels, spec) = (json!({}), json!({}));
    Shape {
        name: "basic",
        nodes: 5_000,
        zones: 3,
        namespaces: 0,
        placed: pods(1_000, "init", "default", &labels, &spec),
        measured: pods(10_000, "pod", "default", &labels, &spec),
    }
}

/// SchedulingPodAffinity: all in one zone.
fn affinity() -> Shape {
    let labels = json!({"color": "blue"});
    let spec = required("podAffinity", "blue", ZONE, json!({"namespaces": ["sched-0", "sched-1"]}));
    Shape {
        name: "affinity",
        nodes: 5_000,
        zones: 1,
        namespaces: 0,
        placed: pods(5_000, "init", "sched-0", &labels, &spec),
        measured: pods(5_000, "pod", "sched-1", &labels, &spec),
    }
}

/// SchedulingPodAntiAffinity: one to a host.
fn anti_affinity() -> Shape {
    let labels = json!({"color": "green"});
    let spec = required("podAntiAffinity", "green", HOST, json!({"namespaces": ["sched-0", "sched-1"]}));
    Shape {
        name: "anti-affinity",
        nodes: 5_000,
        zones: 3,
        namespaces: 0,
        placed: pods(1_000, "init", "sched-0", &labels, &spec),
        measured: pods(2_000, "pod", "sched-1", &labels, &spec),
    }
}

/// SchedulingRequiredPodAntiAffinityWithNSSelector: one to a host, over namespaces by label.
fn ns_anti_affinity() -> Shape {
    let labels = json!({"color": "green"});
    let namespaces = json!({"namespaceSelector": {"matchLabels": {"team": "devops"}}});
    let spec = required("podAntiAffinity", "green", HOST, namespaces);
    let placed = (0..100).flat_map(|i| pods(40, "init", &format!("ns-{i}"), &labels, &spec));
    Shape {
        name: "ns-anti-affinity",
        nodes: 6_000,
        zones: 3,
        namespaces: 101,
        placed: placed.collect(),
        measured: pods(2_000, "pod", "ns-100", &labels, &spec),
    }
}

/// TopologySpreading over three zones.
fn spread() -> Shape {
    let constraint = json!({"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"color": "blue"}}});
    Shape {
        name: "spread",
        nodes: 5_000,
        zones: 3,
        namespaces: 0,
        placed: pods(5_000, "init", "default", &json!({}), &json!({})),
        measured: pods(
            5_000,
            "pod",
            "default",
            &json!({"color": "blue"}),
            &json!({"topologySpreadConstraints": [constraint]}),
        ),
    }
}

/// PreemptionBasic: three of the four pods on a node have to go for each.
fn preemption() -> Shape {
    let spec = |priority: i32, cpu: &str| json!({"priority": priority, "containers": containers(cpu)});
    Shape {
        name: "preemption",
        nodes: 5_000,
        zones: 3,
        namespaces: 0,
        placed: pods(20_000, "low", "default", &json!({}), &spec(0, "900m")),
        measured: pods(5_000, "high", "default", &json!({}), &spec(10, "3")),
    }
}
