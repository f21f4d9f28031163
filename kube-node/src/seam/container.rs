//! Values that describe a container and its state.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NamespaceMode, Namespaces, SandboxId, SecurityProfile};

/// The runtime's name for a container: opaque, unique on the node for as long as the container exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ContainerId(pub String);

impl std::fmt::Display for ContainerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What [`ImageService::pull`](super::ImageService::pull) and [`ImageService::status`](super::ImageService::status) call an image: a digest or an id.
pub type ImageRef = String;

/// Everything a runtime needs to make a container (CRI `ContainerConfig`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// The container's name in the pod.
    pub name: String,
    /// How many containers of this name the pod had before, starting at 0.
    pub attempt: u32,
    /// The image reference that `pull` or `status` returned.
    pub image: ImageRef,
    /// The image as the user wrote it, kept for status.
    pub user_image: String,
    /// Replaces the image's entry point when not empty.
    pub command: Vec<String>,
    /// Replaces the image's command when not empty. With `command` given and `args` empty the image's own command is not used either.
    pub args: Vec<String>,
    /// Working directory; empty means the image's.
    pub working_dir: String,
    /// Environment in order, added to the image's; a later entry wins over an earlier one and over the image.
    pub envs: Vec<(String, String)>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Log file relative to the sandbox's `log_dir`, e.g. `web/0.log`; the runtime makes its parent directory. One line per line of output in the CRI log format:
    /// `2006-01-02T15:04:05.999999999Z stdout F text` (`P` for a part of a line). Empty: output is dropped.
    pub log_path: PathBuf,
    /// Whether standard input stays open for `attach`.
    pub stdin: bool,
    /// Whether standard input closes after the first attached session.
    pub stdin_once: bool,
    /// Whether the process gets a terminal.
    pub tty: bool,
    /// Labels, returned unchanged by [`Runtime::containers`](super::Runtime::containers).
    pub labels: BTreeMap<String, String>,
    /// Annotations, returned unchanged.
    pub annotations: BTreeMap<String, String>,
    /// Linux specifics.
    pub linux: ContainerLinux,
}

/// A directory or file of the host inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mount {
    /// Source. The agent has resolved symbolic links and made it where that is wanted.
    pub host_path: PathBuf,
    /// Target; the runtime makes the mount point, file or directory like the source.
    pub container_path: PathBuf,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Whether read-only applies to the mounts below it too.
    pub recursive_read_only: bool,
    /// Whether mounts travel between host and container.
    pub propagation: MountPropagation,
    /// Whether to relabel for SELinux.
    pub selinux_relabel: bool,
}

/// Mount propagation as in `pod.spec.containers[].volumeMounts[].mountPropagation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MountPropagation {
    /// None (`rprivate`).
    #[default]
    Private,
    /// Host to container (`rslave`).
    HostToContainer,
    /// Both ways (`rshared`).
    Bidirectional,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// cgroup permissions out of `r`, `w`, `m`.
    pub permissions: String,
}

/// Linux part of a [`ContainerConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerLinux {
    /// cgroup limits.
    pub resources: Resources,
    /// Who the process is and what it may do.
    pub security: ContainerSecurity,
}

/// cgroup limits; `None` and empty mean: leave it alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Relative weight, cgroup v1 scale (2 to 262144); v2 runtimes convert.
    pub cpu_shares: Option<u64>,
    /// CPU time per period in microseconds; -1 is without limit.
    pub cpu_quota: Option<i64>,
    /// Period in microseconds (100000 when unset).
    pub cpu_period: Option<u64>,
    /// Memory limit in bytes.
    pub memory_limit: Option<i64>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// CPU list, e.g. `0-3,7`.
    pub cpuset_cpus: String,
    /// Memory node list.
    pub cpuset_mems: String,
    /// Page size (`2Mi`) to limit in bytes.
    pub hugepage_limits: BTreeMap<String, u64>,
    /// How many processes.
    pub pids_limit: Option<i64>,
    /// Further cgroup v2 files, e.g. `memory.oom.group`.
    pub unified: BTreeMap<String, String>,
}

/// Capabilities relative to the runtime's default set; `ALL` is understood; names without `CAP_`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// To add.
    pub add: Vec<String>,
    /// To drop.
    pub drop: Vec<String>,
}

/// Who a container's process is and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerSecurity {
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Everything is allowed, all devices are there.
    pub privileged: bool,
    /// Numeric user; wins over `run_as_username`; neither: the image's.
    pub run_as_user: Option<i64>,
    /// Numeric group; `None`: the user's primary group in the image, else 0.
    pub run_as_group: Option<i64>,
    /// User by name, looked up in the image.
    pub run_as_username: Option<String>,
    /// Added to the groups that the image gives the user.
    pub supplemental_groups: Vec<i64>,
    /// Whether the root file system is read-only.
    pub readonly_rootfs: bool,
    /// `no_new_privs`.
    pub no_new_privs: bool,
    /// Seccomp; ignored when privileged.
    pub seccomp: SecurityProfile,
    /// AppArmor; ignored where the kernel has none.
    pub apparmor: SecurityProfile,
    /// Hidden paths.
    pub masked_paths: Vec<String>,
    /// Read-only paths.
    pub readonly_paths: Vec<String>,
    /// Namespaces; network and IPC equal the sandbox's.
    pub namespaces: Namespaces,
}

impl ContainerSecurity {
    /// Whether the process shares the pod's process namespace.
    pub fn shares_pid(&self) -> bool {
        self.namespaces.pid == NamespaceMode::Pod
    }
}

/// Where in its life a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its process runs.
    Running,
    /// Its process has ended; the exit code is known.
    Exited,
    /// The runtime lost track of it.
    #[default]
    Unknown,
}

/// Why a container is not running; the words are those of `containerStatuses[].state.terminated.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ContainerReason {
    /// It is created or running.
    #[default]
    None,
    /// Exit code 0.
    Completed,
    /// Another exit code, or a signal (128 + number).
    Error,
    /// The kernel killed it for memory; the exit code is 137.
    OomKilled,
    /// Its process could not be started; `message` says why; the exit code is 128.
    StartError,
}

impl ContainerReason {
    /// The word in the API; empty for [`ContainerReason::None`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OomKilled => "OOMKilled",
            Self::StartError => "StartError",
        }
    }
}

/// What a runtime knows about a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its id.
    pub id: ContainerId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// As given when it was made.
    pub name: String,
    /// As given when it was made.
    pub attempt: u32,
    /// Where in its life it is.
    pub state: ContainerState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its process was started.
    pub started_at: Option<Timestamp>,
    /// When its process ended.
    pub finished_at: Option<Timestamp>,
    /// Exit code; meaningful when exited.
    pub exit_code: i32,
    /// Why it is not running.
    pub reason: ContainerReason,
    /// For people.
    pub message: String,
    /// The image as the user wrote it.
    pub image: String,
    /// The image's digest or id.
    pub image_ref: ImageRef,
    /// Labels as given.
    pub labels: BTreeMap<String, String>,
    /// Annotations as given.
    pub annotations: BTreeMap<String, String>,
    /// Absolute path of the log file; empty when there is none.
    pub log_path: PathBuf,
}

/// Which containers to list; `Default` is all of them. Set fields are all required to match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerFilter {
    /// Only this one.
    pub id: Option<ContainerId>,
    /// Only those of this sandbox.
    pub sandbox: Option<SandboxId>,
    /// Only those in this state.
    pub state: Option<ContainerState>,
    /// Only those with all of these labels.
    pub labels: BTreeMap<String, String>,
}

impl ContainerFilter {
    /// Only the container with this id.
    pub fn by_id(id: ContainerId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Whether `status` is one of those asked for; implementations call this instead of writing it again.
    pub fn matches(&self, status: &ContainerStatus) -> bool {
        self.id.as_ref().is_none_or(|id| *id == status.id)
            && self.sandbox.as_ref().is_none_or(|id| *id == status.sandbox)
            && self.state.is_none_or(|state| state == status.state)
            && self.labels.iter().all(|(k, v)| status.labels.get(k) == Some(v))
    }
}

/// What a container uses at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerStats {
    /// Which container.
    pub id: ContainerId,
    /// When it was measured.
    pub at: Timestamp,
    /// CPU time used since it started, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory in use without inactive page cache, in bytes.
    pub memory_working_set: u64,
    /// Anonymous memory in bytes.
    pub memory_rss: u64,
    /// Bytes in its writable layer.
    pub fs_used: u64,
    /// Number of processes and threads.
    pub pids: u64,
}
