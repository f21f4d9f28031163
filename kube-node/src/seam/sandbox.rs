//! Values that describe a pod sandbox: the namespaces, cgroup and network that a pod's containers share.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Resources;

/// The runtime's name for a sandbox: opaque, unique on the node for as long as the sandbox exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct SandboxId(pub String);

impl std::fmt::Display for SandboxId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which pod something belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct PodRef {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

impl std::fmt::Display for PodRef {
    /// `namespace/name`, as upstream writes it in log lines.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Everything a runtime needs to make a sandbox (CRI `PodSandboxConfig`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// The pod.
    pub pod: PodRef,
    /// How many sandboxes this pod had before, starting at 0.
    pub attempt: u32,
    /// Host name inside the pod; empty with the host's network.
    pub hostname: String,
    /// Directory for the containers' log files; the runtime makes it when it is missing.
    pub log_dir: PathBuf,
    /// What `/etc/resolv.conf` says.
    pub dns: DnsConfig,
    /// Host ports.
    pub port_mappings: Vec<PortMapping>,
    /// Labels, returned unchanged by [`Runtime::sandboxes`](super::Runtime::sandboxes).
    pub labels: BTreeMap<String, String>,
    /// Annotations, returned unchanged.
    pub annotations: BTreeMap<String, String>,
    /// Linux specifics.
    pub linux: SandboxLinux,
    /// The handler of the pod's RuntimeClass; empty means the default. An unknown one is [`Error::Invalid`](crate::Error::Invalid).
    pub runtime_handler: String,
}

/// Linux part of a [`SandboxConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SandboxLinux {
    /// The pod's cgroup relative to the cgroup root, e.g. `/kubepods/burstable/pod<uid>`; the runtime makes it when it is missing and puts the pod's
    /// containers below it. Empty: the runtime chooses.
    pub cgroup_parent: String,
    /// Namespaced sysctls in dotted form.
    pub sysctls: BTreeMap<String, String>,
    /// Which namespaces the pod has of its own.
    pub namespaces: Namespaces,
    /// Seccomp profile of the sandbox's own process, if it has one.
    pub seccomp: SecurityProfile,
    /// User of the sandbox's own process, if it has one.
    pub run_as_user: Option<i64>,
    /// Group of the sandbox's own process.
    pub run_as_group: Option<i64>,
    /// Supplemental groups, among them the pod's fsGroup.
    pub supplemental_groups: Vec<i64>,
    /// Whether any container of the pod is privileged.
    pub privileged: bool,
    /// Limits for the pod's cgroup: sum over its containers plus overhead, where every container has a limit.
    pub resources: Resources,
    /// What the sandbox itself costs (RuntimeClass overhead).
    pub overhead: Resources,
}

/// Which namespace a pod or container lives in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// Shared by the containers of the pod.
    #[default]
    Pod,
    /// Each container its own.
    Container,
    /// The host's.
    Node,
    /// That of another container of the pod (ephemeral containers), by id.
    Target(String),
}

/// The namespaces that pods may share or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Namespaces {
    /// Network: `Pod` or `Node`.
    pub network: NamespaceMode,
    /// Processes: `Container` unless the pod shares them or uses the host's.
    pub pid: NamespaceMode,
    /// System V IPC and POSIX queues: `Pod` or `Node`.
    pub ipc: NamespaceMode,
}

/// A seccomp or AppArmor profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SecurityProfile {
    /// None at all.
    #[default]
    Unconfined,
    /// The runtime's own default.
    RuntimeDefault,
    /// A profile on the node: an absolute path (seccomp) or a loaded profile's name (AppArmor).
    Localhost(String),
}

/// Content of `/etc/resolv.conf`. With all three empty the runtime uses the host's file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DnsConfig {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// The `search` line.
    pub searches: Vec<String>,
    /// The `options` line.
    pub options: Vec<String>,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the host that leads into the pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PortMapping {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port inside the pod.
    pub container_port: u16,
    /// Port on the host; never 0.
    pub host_port: u16,
    /// Address on the host; `None` means all.
    pub host_ip: Option<IpAddr>,
}

/// Whether a sandbox can take containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SandboxState {
    /// Its namespaces and network are up.
    Ready,
    /// Stopped, or broken: only stop and remove make sense.
    #[default]
    NotReady,
}

/// What a runtime knows about a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SandboxStatus {
    /// Its id.
    pub id: SandboxId,
    /// Its pod, as given when it was made.
    pub pod: PodRef,
    /// As given when it was made.
    pub attempt: u32,
    /// Whether it is usable.
    pub state: SandboxState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Addresses, the primary one first; empty with the host's network.
    pub ips: Vec<IpAddr>,
    /// Labels as given.
    pub labels: BTreeMap<String, String>,
    /// Annotations as given.
    pub annotations: BTreeMap<String, String>,
}

/// Which sandboxes to list; `Default` is all of them. Set fields are all required to match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SandboxFilter {
    /// Only this one.
    pub id: Option<SandboxId>,
    /// Only those of the pod with this uid.
    pub pod_uid: Option<String>,
    /// Only those in this state.
    pub state: Option<SandboxState>,
}

impl SandboxFilter {
    /// The sandboxes of one pod.
    pub fn of_pod(uid: impl Into<String>) -> Self {
        Self { pod_uid: Some(uid.into()), ..Self::default() }
    }

    /// Whether `status` is one of those asked for; implementations call this instead of writing it again.
    pub fn matches(&self, status: &SandboxStatus) -> bool {
        self.id.as_ref().is_none_or(|id| *id == status.id)
            && self.pod_uid.as_ref().is_none_or(|uid| *uid == status.pod.uid)
            && self.state.is_none_or(|state| state == status.state)
    }
}
