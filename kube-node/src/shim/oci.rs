//! The part of the OCI runtime specification (version 1.0.2) that a supervisor reads, under the specification's own names: a bundle's
//! `config.json` stays one that any OCI runtime takes.
//!
//! What is not here is not supported, so a specification that a supervisor runs never asks for something it silently leaves out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The specification's version.
    pub oci_version: String,
    /// Its first process.
    pub process: Process,
    /// Its root file system.
    pub root: Root,
    /// What is mounted below the root, in this order.
    pub mounts: Vec<Mount>,
    /// The Linux part.
    pub linux: Linux,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Whether it has a terminal.
    pub terminal: bool,
    /// Who it is.
    pub user: User,
    /// The program, searched in the `PATH` of `env`, and its arguments.
    pub args: Vec<String>,
    /// The environment as `NAME=value`.
    pub env: Vec<String>,
    /// The working directory, made when it is missing.
    pub cwd: PathBuf,
    /// What it may do.
    pub capabilities: Capabilities,
    /// Whether programs it executes cannot give it more than that.
    pub no_new_privileges: bool,
    /// The kernel's out-of-memory preference, -1000 to 1000; one the system refuses is replaced by the nearest it takes.
    pub oom_score_adj: i32,
}

/// Numeric identities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The other groups.
    pub additional_gids: Vec<u32>,
}

/// Capability sets, as `CAP_…` names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// What can ever be had.
    pub bounding: Vec<String>,
    /// What is in force.
    pub effective: Vec<String>,
    /// What can be put in force.
    pub permitted: Vec<String>,
    /// What a program with inheritable file capabilities keeps.
    pub inheritable: Vec<String>,
    /// What every program keeps.
    pub ambient: Vec<String>,
}

/// The root file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The folder in the bundle; a supervisor mounts the image's layers there.
    pub path: PathBuf,
    /// Whether it is read-only (mounts below it are not affected).
    pub readonly: bool,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, in the container.
    pub destination: PathBuf,
    /// The file system's type; `bind` for a file or folder of the host, `cgroup` for what the container may see of its groups.
    #[serde(rename = "type")]
    pub kind: String,
    /// For `bind`, the path on the host; otherwise what `/proc/mounts` shows.
    pub source: PathBuf,
    /// Mount options; those that are not the kernel's general ones go to the file system.
    pub options: Vec<String>,
}

/// The Linux part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linux {
    /// The container's cgroup, relative to each hierarchy's root.
    pub cgroups_path: String,
    /// Namespaces of its own, or others' to join; those not named are the supervisor's.
    pub namespaces: Vec<Namespace>,
    /// Files and folders whose content is hidden.
    pub masked_paths: Vec<PathBuf>,
    /// Files and folders that are read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// Limits and device rules.
    pub resources: Resources,
    /// Device nodes besides those that every container has.
    pub devices: Vec<Device>,
    /// How mounts travel between the root and mount namespaces made inside; private when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs_propagation: Option<Propagation>,
}

/// How mounts travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Inwards.
    Slave,
    /// Both ways.
    Shared,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: NamespaceKind,
    /// The namespace to join; a new one when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// The kinds of namespace that are a container's own; the others are its pod's, and so its supervisor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// Mounts; always new.
    Mount,
    /// Process ids.
    Pid,
    /// The view of cgroups; always new.
    Cgroup,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Where, in the container.
    pub path: PathBuf,
    /// Block or character.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
    /// The driver.
    pub major: u32,
    /// The driver's device.
    pub minor: u32,
    /// Permissions.
    pub file_mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Block.
    #[serde(rename = "b")]
    Block,
    /// Character.
    #[serde(rename = "c")]
    Character,
}

/// A rule about devices; a later one wins over an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// Which devices; unset for all.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<DeviceKind>,
    /// Of which driver; unset for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    /// Which of the driver's; unset for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
    /// Reading `r`, writing `w`, making nodes `m`.
    pub access: String,
}

/// cgroup limits; what is unset stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Device rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRule>,
    /// Memory.
    pub memory: Memory,
    /// CPUs.
    pub cpu: Cpu,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    /// Huge pages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Further files of cgroup version 2 and their content.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unified: BTreeMap<String, String>,
}

/// Memory limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// In bytes; negative for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// CPU limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Relative weight, version 1's scale (2 to 262144).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
    /// CPU time per period in microseconds; negative for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<i64>,
    /// The period in microseconds (100000 when unset).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    /// The CPUs, e.g. `0-3,7`; empty when unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpus: String,
    /// The memory nodes; empty when unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mems: String,
}

/// The limit of processes and threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pids {
    /// How many; 0 and less for no limit.
    pub limit: i64,
}

/// The limit of huge pages of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HugepageLimit {
    /// The size as the kernel writes it, e.g. `2MB`.
    pub page_size: String,
    /// In bytes.
    pub limit: u64,
}
