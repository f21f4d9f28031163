//! The Node object as a value.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec,
        NodeStatus, NodeSystemInfo,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::machine::Machine;
use crate::{
    config::{Capacity, Config},
    pod::status::time,
    seam::{ImageStatus, RuntimeInfo},
};

/// How many images are told at most.
const IMAGES: usize = 50;

/// Names of architectures as Go and Kubernetes have them.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The labels of the node.
pub(crate) fn labels(config: &Config) -> BTreeMap<String, String> {
    let mut labels = config.labels.clone();
    let own = [
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch()),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", arch()),
    ];
    for (key, value) in own {
        labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    labels
}

fn amounts(config: &Config, c: Capacity) -> BTreeMap<String, Quantity> {
    let cpu = if c.cpu_millis % 1000 == 0 {
        (c.cpu_millis / 1000).to_string()
    } else {
        format!("{}m", c.cpu_millis)
    };
    let list = [
        ("cpu", cpu),
        ("memory", format!("{}Ki", c.memory_bytes / 1024)),
        ("ephemeral-storage", format!("{}Ki", c.disk_bytes / 1024)),
        ("hugepages-2Mi", "0".to_owned()),
        ("pods", config.max_pods.to_string()),
    ];
    list.into_iter().map(|(k, v)| (k.to_owned(), Quantity(v))).collect()
}

/// What pods may use.
pub(crate) fn allocatable_amounts(config: &Config, c: Capacity) -> Capacity {
    let r = config.reserved;
    Capacity {
        cpu_millis: (c.cpu_millis - r.cpu_millis).max(0),
        memory_bytes: (c.memory_bytes - r.memory_bytes).max(0),
        disk_bytes: (c.disk_bytes - r.disk_bytes).max(0),
    }
}

/// What pods may use, as the API has it.
pub(crate) fn allocatable(config: &Config, c: Capacity) -> BTreeMap<String, Quantity> {
    amounts(config, allocatable_amounts(config, c))
}

/// What of a node has to change so that pods may use all that others have said the node has: the extended resources of its capacity
/// that are not allocatable, and those that are no capacity any more. `None` if nothing has to.
pub(crate) fn advertised(status: &NodeStatus) -> Option<Value> {
    let (none, also_none) = (BTreeMap::new(), BTreeMap::new());
    let capacity = status.capacity.as_ref().unwrap_or(&none);
    let allocatable = status.allocatable.as_ref().unwrap_or(&also_none);
    let new = capacity.iter().filter(|(name, amount)| allocatable.get(*name) != Some(*amount));
    let gone = allocatable.keys().filter(|name| !capacity.contains_key(*name));
    let changes = new.map(|(name, amount)| (name, json!(amount))).chain(gone.map(|name| (name, Value::Null)));
    let changes: Map<_, _> =
        changes.filter(|(name, _)| is_extended(name)).map(|(name, amount)| (name.clone(), amount)).collect();
    (!changes.is_empty()).then(|| json!({"status": {"allocatable": changes}}))
}

/// Whether a resource is somebody else's: of a domain that is not Kubernetes' own.
fn is_extended(resource: &str) -> bool {
    resource
        .split_once('/')
        .is_some_and(|(domain, _)| domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io"))
}

/// What is measured anew for every status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    pub(crate) runtime: RuntimeInfo,
    pub(crate) images: Vec<ImageStatus>,
    pub(crate) memory_pressure: bool,
    pub(crate) disk_pressure: bool,
    pub(crate) pid_pressure: bool,
}

/// The Node to register.
pub(crate) fn fresh(config: &Config) -> Node {
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels(config)),
            annotations: Some(BTreeMap::from([(
                "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                "true".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: (!config.taints.is_empty()).then(|| config.taints.clone()),
            provider_id: config.provider_id.clone(),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

/// The status of the node; transition times come from `old` where nothing changed.
pub(crate) fn status(
    config: &Config,
    machine: &Machine,
    measured: &Measured,
    old: &NodeStatus,
    now: Timestamp,
) -> NodeStatus {
    let capacity = config.capacity.unwrap_or(machine.capacity);
    let runtime = &measured.runtime;
    NodeStatus {
        addresses: Some(addresses(config)),
        capacity: Some(amounts(config, capacity)),
        allocatable: Some(allocatable(config, capacity)),
        conditions: Some(conditions(measured, old, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: (config.kubelet_port != 0)
                .then(|| DaemonEndpoint { port: i32::from(config.kubelet_port) }),
        }),
        images: Some(images(&measured.images)),
        node_info: Some(NodeSystemInfo {
            architecture: arch().to_owned(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: format!("{}://{}", runtime.name, runtime.version),
            kernel_version: machine.kernel.clone(),
            kubelet_version: config.version.clone(),
            kube_proxy_version: String::new(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.system_uuid.clone(),
            swap: None,
        }),
        ..NodeStatus::default()
    }
}

fn addresses(config: &Config) -> Vec<NodeAddress> {
    let ips = config
        .node_ips
        .iter()
        .map(|ip: &IpAddr| NodeAddress { address: ip.to_string(), type_: "InternalIP".to_owned() });
    let name = NodeAddress { address: config.node_name.clone(), type_: "Hostname".to_owned() };
    ips.chain([name]).collect()
}

fn images(list: &[ImageStatus]) -> Vec<ContainerImage> {
    let mut list: Vec<&ImageStatus> = list.iter().collect();
    list.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let names = |i: &ImageStatus| i.repo_digests.iter().chain(&i.repo_tags).take(5).cloned().collect();
    let told = list.into_iter().take(IMAGES);
    told.map(|i| ContainerImage { names: Some(names(i)), size_bytes: i64::try_from(i.size).ok() }).collect()
}

/// Type, whether it is so, and reason and message either way.
type Pressure = (&'static str, bool, [&'static str; 2], [&'static str; 2]);

fn conditions(measured: &Measured, old: &NodeStatus, now: Timestamp) -> Vec<NodeCondition> {
    let pressures: [Pressure; 3] = [
        (
            "MemoryPressure",
            measured.memory_pressure,
            ["KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
            ["KubeletHasInsufficientMemory", "kubelet has insufficient memory available"],
        ),
        (
            "DiskPressure",
            measured.disk_pressure,
            ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
            ["KubeletHasDiskPressure", "kubelet has disk pressure"],
        ),
        (
            "PIDPressure",
            measured.pid_pressure,
            ["KubeletHasSufficientPID", "kubelet has sufficient PID available"],
            ["KubeletHasInsufficientPID", "kubelet has insufficient PID available"],
        ),
    ];
    let mut conditions: Vec<NodeCondition> = pressures
        .into_iter()
        .map(|(kind, on, no, yes)| {
            let [reason, message] = if on { yes } else { no };
            condition(kind, on, reason, message.to_owned(), old, now)
        })
        .collect();
    let (ready, reason, message) = readiness(&measured.runtime);
    conditions.push(condition("Ready", ready, reason, message, old, now));
    let others =
        old.conditions.iter().flatten().filter(|c| !conditions.iter().any(|n| n.type_ == c.type_)).cloned();
    let others: Vec<_> = others.collect();
    conditions.extend(others);
    conditions
}

fn readiness(runtime: &RuntimeInfo) -> (bool, &'static str, String) {
    let detail = format!("reason:{} message:{}", runtime.reason, runtime.message);
    match (runtime.ready, runtime.network_ready) {
        (true, true) => (true, "KubeletReady", "kubelet is posting ready status".to_owned()),
        (true, false) => (
            false,
            "KubeletNotReady",
            format!("container runtime network not ready: NetworkReady=false {detail}"),
        ),
        (false, _) => {
            (false, "KubeletNotReady", format!("container runtime not ready: RuntimeReady=false {detail}"))
        }
    }
}

fn condition(
    kind: &str,
    on: bool,
    reason: &str,
    message: String,
    old: &NodeStatus,
    now: Timestamp,
) -> NodeCondition {
    let status = if on { "True" } else { "False" };
    let before = old.conditions.iter().flatten().find(|c| c.type_ == kind && c.status == status);
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_heartbeat_time: Some(time(now)),
        last_transition_time: before.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(time(now))),
    }
}

/// A status without heartbeat times, to compare.
pub(crate) fn without_heartbeats(status: &NodeStatus) -> NodeStatus {
    let mut status = status.clone();
    status.conditions.iter_mut().flatten().for_each(|c| c.last_heartbeat_time = None);
    status
}
