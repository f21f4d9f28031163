//! The pod network seam. Called by a runtime, not by the agent.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use async_trait::async_trait;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{PodRef, PortMapping, SandboxId};
use crate::Result;

/// Connects a sandbox's network namespace, with the semantics of CNI's ADD, DEL, CHECK and STATUS. The general rules are in [the module's
/// documentation](super).
#[async_trait]
pub trait NetworkPlugin: Send + Sync {
    /// Tells the node's pod address ranges, at start and whenever they change; addresses in use stay in use.
    async fn configure(&self, pod_cidrs: &[IpNet]) -> Result<()>;

    /// Gives the namespace its interface, addresses and routes. On an error the caller calls `remove`. Adding twice for one sandbox returns what
    /// the first call returned.
    async fn add(&self, pod: &PodNetwork) -> Result<NetworkStatus>;

    /// Takes everything back, even when the namespace is already gone or `add` failed half-way. Idempotent.
    async fn remove(&self, pod: &PodNetwork) -> Result<()>;

    /// Whether what `add` made is still in place; `Failed` says what is not.
    async fn check(&self, pod: &PodNetwork) -> Result<()>;

    /// Whether `add` can work now. Cheap.
    async fn ready(&self) -> Result<NetworkReady>;
}

/// A sandbox that wants a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PodNetwork {
    /// The pod.
    pub pod: PodRef,
    /// The sandbox; the key of everything the plugin keeps.
    pub sandbox: SandboxId,
    /// The namespace as a path: `/proc/<pid>/ns/net` or a bind mount below `/run/netns`.
    pub netns: PathBuf,
    /// Name of the interface inside, `eth0`.
    pub interface: String,
    /// Host ports.
    pub port_mappings: Vec<PortMapping>,
    /// Bandwidth limits.
    pub bandwidth: Bandwidth,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Bandwidth limits in bits per second; `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Into the pod.
    pub ingress: Option<u64>,
    /// Out of the pod.
    pub egress: Option<u64>,
}

/// What a sandbox got.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Addresses with prefix length, the primary one first.
    pub ips: Vec<IpNet>,
    /// Default gateway of the primary family.
    pub gateway: Option<IpAddr>,
    /// Hardware address inside, `aa:bb:…`; empty when unknown.
    pub mac: String,
    /// Interface of the host side; empty when there is none.
    pub host_interface: String,
}

/// Whether a network plugin is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkReady {
    /// Whether it is.
    pub ready: bool,
    /// One word when it is not.
    pub reason: String,
    /// One sentence when it is not.
    pub message: String,
}
