//! How many nodes and pods there are, and what the pods ask for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, from_value, json};

use crate::Error;

/// The priority class of pods that preempt others, and its value.
pub const HIGH_PRIORITY: (&str, i32) = ("high-priority", 10);

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

/// A workload: nodes, pods that are there already, and pods to schedule.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// What it is called in figures.
    pub name: &'static str,
    /// Nodes of 4 cores, 32 GiB and 110 pods.
    pub nodes: usize,
    /// Zones that the nodes are spread over.
    pub zones: usize,
    /// Namespaces with the label `team: devops`, from `ns-0` on.
    pub namespaces: usize,
    /// The pods that are there before those that are measured.
    initial: Crowd,
    /// The pods that are scheduled.
    measured: Crowd,
}

/// Pods that differ in name only.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    prefix: &'static str,
    number: usize,
    namespace: Place,
    labels: fn() -> Value,
    spec: fn() -> Value,
}

/// The namespaces of some pods.
#[derive(Debug, Clone, Copy)]
enum Place {
    In(&'static str),
    /// So many of the numbered ones, one after the other.
    Over(usize),
}

/// Every workload.
pub const SHAPES: &[Shape] = &[
    // SchedulingBasic.
    Shape {
        name: "basic",
        nodes: 5_000,
        zones: 3,
        namespaces: 0,
        initial: plain("initial", 1_000),
        measured: plain("measured", 10_000),
    },
    // SchedulingPodAffinity: all in one zone.
    Shape {
        name: "affinity",
        nodes: 5_000,
        zones: 1,
        namespaces: 2,
        initial: like("initial", 5_000, Place::In("ns-0"), blue, in_one_zone),
        measured: like("measured", 5_000, Place::In("ns-1"), blue, in_one_zone),
    },
    // SchedulingPodAntiAffinity: one to a host.
    Shape {
        name: "anti-affinity",
        nodes: 5_000,
        zones: 3,
        namespaces: 2,
        initial: like("initial", 1_000, Place::In("ns-0"), green, one_to_a_host),
        measured: like("measured", 2_000, Place::In("ns-1"), green, one_to_a_host),
    },
    // SchedulingRequiredPodAntiAffinityWithNSSelector: one to a host, over namespaces by label.
    Shape {
        name: "ns-anti-affinity",
        nodes: 6_000,
        zones: 3,
        namespaces: 101,
        initial: like("initial", 4_000, Place::Over(100), green, one_to_a_host_in_many),
        measured: like("measured", 2_000, Place::In("ns-100"), green, one_to_a_host_in_many),
    },
    // TopologySpreading.
    Shape {
        name: "spread",
        nodes: 5_000,
        zones: 3,
        namespaces: 0,
        initial: plain("initial", 5_000),
        measured: like("measured", 5_000, Place::In("default"), blue, over_zones),
    },
    // PreemptionBasic, on as many nodes as upstream's has turned off: three of the four pods on a node have to go for each.
    Shape {
        name: "preemption",
        nodes: 5_000,
        zones: 3,
        namespaces: 0,
        initial: like("initial", 20_000, Place::In("default"), || json!({}), || sized(None, "900m")),
        measured: like(
            "measured",
            5_000,
            Place::In("default"),
            || json!({}),
            || sized(Some(HIGH_PRIORITY), "3"),
        ),
    },
];

const fn plain(prefix: &'static str, number: usize) -> Crowd {
    like(prefix, number, Place::In("default"), || json!({}), || json!({}))
}

const fn like(
    prefix: &'static str,
    number: usize,
    namespace: Place,
    labels: fn() -> Value,
    spec: fn() -> Value,
) -> Crowd {
    Crowd { prefix, number, namespace, labels, spec }
}

fn blue() -> Value {
    json!({"color": "blue"})
}

fn green() -> Value {
    json!({"color": "green"})
}

fn in_one_zone() -> Value {
    required(
        "podAffinity",
        &json!({"labelSelector": {"matchLabels": blue()}, "topologyKey": ZONE, "namespaces": ["ns-0", "ns-1"]}),
    )
}

fn one_to_a_host() -> Value {
    required(
        "podAntiAffinity",
        &json!({"labelSelector": {"matchLabels": green()}, "topologyKey": HOST, "namespaces": ["ns-0", "ns-1"]}),
    )
}

fn one_to_a_host_in_many() -> Value {
    let namespaces = json!({"matchLabels": {"team": "devops"}});
    required(
        "podAntiAffinity",
        &json!({"labelSelector": {"matchLabels": green()}, "topologyKey": HOST, "namespaceSelector": namespaces}),
    )
}

fn required(kind: &str, term: &Value) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}

fn over_zones() -> Value {
    json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": blue()}}]})
}

/// What a pod of some size asks for; one without a priority may be preempted.
fn sized(priority: Option<(&str, i32)>, cpu: &str) -> Value {
    let (class, priority) = priority.unzip();
    // No kubelet is there to end the victims.
    json!({"priorityClassName": class, "priority": priority, "terminationGracePeriodSeconds": 0,
        "containers": containers(cpu)})
}

fn containers(cpu: &str) -> Value {
    json!([{"name": "pause", "image": "registry.k8s.io/pause:3.10.1", "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}}}])
}

impl Shape {
    /// The nodes, from `node-0` on.
    ///
    /// # Errors
    /// [`Error::Decode`] if one makes no sense.
    pub fn nodes(&self) -> Result<Vec<Node>, Error> {
        let node = |number: usize| {
            let resources = json!({"cpu": "4", "memory": "32Gi", "pods": "110"});
            let labels =
                json!({HOST: format!("node-{number}"), ZONE: format!("zone-{}", number % self.zones)});
            json!({"metadata": {"name": format!("node-{number}"), "labels": labels},
                "status": {"capacity": resources, "allocatable": resources}})
        };
        objects((0..self.nodes).map(node))
    }

    /// The names of the namespaces besides `default`, and their labels.
    #[must_use]
    pub fn namespaces(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let labels = || [("team".to_owned(), "devops".to_owned())].into();
        (0..self.namespaces).map(|number| (format!("ns-{number}"), labels())).collect()
    }

    /// The pods that are there before the measurement; they fit, and preempt nobody.
    ///
    /// # Errors
    /// [`Error::Decode`] if one makes no sense.
    pub fn initial(&self) -> Result<Vec<Pod>, Error> {
        self.initial.pods()
    }

    /// The pods that are measured.
    ///
    /// # Errors
    /// [`Error::Decode`] if one makes no sense.
    pub fn measured(&self) -> Result<Vec<Pod>, Error> {
        self.measured.pods()
    }
}

impl Crowd {
    fn pods(&self) -> Result<Vec<Pod>, Error> {
        let (labels, more) = ((self.labels)(), (self.spec)());
        let pod = |number: usize| {
            let namespace = match self.namespace {
                Place::In(name) => name.to_owned(),
                Place::Over(namespaces) => format!("ns-{}", number % namespaces),
            };
            let mut spec = json!({"containers": containers("100m")});
            for (field, value) in more.as_object().into_iter().flatten() {
                spec[field] = value.clone();
            }
            let name = format!("{}-{number}", self.prefix);
            json!({"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec})
        };
        objects((0..self.number).map(pod))
    }
}

fn objects<K: serde::de::DeserializeOwned>(values: impl Iterator<Item = Value>) -> Result<Vec<K>, Error> {
    values.map(|value| from_value(value).map_err(|error| Error::Decode(Box::new(error)))).collect()
}
