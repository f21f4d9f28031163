//! What an agent is told at its start.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1::Taint;

use crate::{Error, EvictionHard, Result};

/// Configuration of an [`Agent`](crate::Agent).
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the Node object; default `localhost`.
    pub node_name: String,
    /// Directory for pod volumes and `/etc/hosts` files; default `/var/lib/kubelet`.
    pub root_dir: PathBuf,
    /// Folder of static pods: manifests (one pod each, YAML or JSON) of pods that run here whatever the API server says; default none.
    pub static_pod_path: Option<PathBuf>,
    /// Time between two looks into that folder; default 20 s.
    pub file_check: Duration,
    /// Directory for container logs; default `/var/log/pods`.
    pub log_dir: PathBuf,
    /// How long a container's log may get before another one is begun, in bytes; default 10 MiB.
    pub container_log_max_size: u64,
    /// How many logs of a container there are at most, the current one among them; default 5, at least 2.
    pub container_log_max_files: u32,
    /// Time between two looks at the logs; default 10 s.
    pub container_log_check: Duration,
    /// How full the disk of images may get before images that nobody uses are removed, in percent; default 85, 100 for never.
    pub image_gc_high_percent: u8,
    /// How full the disk may be after that, in percent; default 80.
    pub image_gc_low_percent: u8,
    /// How long an image stays at least; default 2 min.
    pub image_gc_min_age: Duration,
    /// Time between two looks at the disk of images; default 5 min.
    pub image_gc_check: Duration,
    /// Whether volumes and pod files are really made; default [`Files::Write`].
    pub files: Files,
    /// Addresses of the node, the primary one first; default `127.0.0.1`.
    pub node_ips: Vec<IpAddr>,
    /// Further labels of the Node; default none.
    pub labels: BTreeMap<String, String>,
    /// Taints that the Node is registered with; default none.
    pub taints: Vec<Taint>,
    /// `spec.providerID` the Node is registered with; default none.
    pub provider_id: Option<String>,
    /// Addresses of the cluster's DNS; default none, which leaves pods with the host's resolv.conf.
    pub cluster_dns: Vec<IpAddr>,
    /// The cluster's domain; default `cluster.local`.
    pub cluster_domain: String,
    /// The resolv.conf that pods inherit from; default `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// How many pods the node takes; default 110.
    pub max_pods: u32,
    /// What the machine has; default: what `/proc` says.
    pub capacity: Option<Capacity>,
    /// What is kept back from pods; default nothing.
    pub reserved: Capacity,
    /// Below what the node reports pressure; default upstream's.
    pub eviction_hard: EvictionHard,
    /// Port of the [`KubeletServer`](crate::KubeletServer), told to the API server; default 10250, 0 for none.
    pub kubelet_port: u16,
    /// Version to report, `v…`; default the level of the API that is spoken.
    pub version: String,
    /// Time between two renewals of the Lease; default 10 s.
    pub lease_renew: Duration,
    /// How long a Lease lasts; default 40 s.
    pub lease_duration: Duration,
    /// Time between two looks at the node's own state; default 10 s.
    pub status_check: Duration,
    /// Time between two reports of an unchanged state; default 5 min.
    pub status_report: Duration,
    /// Time between two audits of the runtime against the pods; default 60 s.
    pub relist: Duration,
    /// Seed of everything random (jitter, name suffixes); default 0.
    pub seed: u64,
}

/// Whether the agent writes files for pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// Volumes, `/etc/hosts`, termination messages: all of it.
    Write,
    /// Nothing: for runtimes that run nothing.
    Skip,
}

/// Amounts of the resources of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Thousandths of a CPU.
    pub cpu_millis: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Bytes of local disk.
    pub disk_bytes: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_name: "localhost".to_owned(),
            root_dir: PathBuf::from("/var/lib/kubelet"),
            static_pod_path: None,
            file_check: Duration::from_secs(20),
            log_dir: PathBuf::from("/var/log/pods"),
            container_log_max_size: 10 << 20,
            container_log_max_files: 5,
            container_log_check: Duration::from_secs(10),
            image_gc_high_percent: 85,
            image_gc_low_percent: 80,
            image_gc_min_age: Duration::from_secs(120),
            image_gc_check: Duration::from_secs(300),
            files: Files::Write,
            node_ips: vec![IpAddr::from([127, 0, 0, 1])],
            labels: BTreeMap::new(),
            taints: Vec::new(),
            provider_id: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            max_pods: 110,
            capacity: None,
            reserved: Capacity::default(),
            eviction_hard: EvictionHard::default(),
            kubelet_port: 10250,
            version: "v1.35.0".to_owned(),
            lease_renew: Duration::from_secs(10),
            lease_duration: Duration::from_secs(40),
            status_check: Duration::from_secs(10),
            status_report: Duration::from_secs(300),
            relist: Duration::from_secs(60),
            seed: 0,
        }
    }
}

impl Config {
    /// Refuses what cannot work, naming the field.
    pub fn validate(&self) -> Result<()> {
        let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
        if self.node_name.is_empty() {
            return invalid("node_name: must not be empty");
        }
        if self.node_ips.is_empty() {
            return invalid("node_ips: at least one address is needed");
        }
        if self.lease_renew >= self.lease_duration {
            return invalid("lease_renew: must be shorter than lease_duration");
        }
        let node = [self.lease_renew, self.status_check, self.status_report];
        if node.contains(&Duration::ZERO) {
            return invalid("lease_renew, status_check, status_report: must not be 0");
        }
        let checks = [self.relist, self.file_check, self.container_log_check, self.image_gc_check];
        if checks.contains(&Duration::ZERO) {
            return invalid("relist, file_check, container_log_check, image_gc_check: must not be 0");
        }
        if self.image_gc_low_percent >= self.image_gc_high_percent || self.image_gc_high_percent > 100 {
            return invalid("image_gc_low_percent, image_gc_high_percent: must rise and not exceed 100");
        }
        if self.container_log_max_files < 2 {
            return invalid("container_log_max_files: must be 2 at least");
        }
        if !self.root_dir.is_absolute() || !self.log_dir.is_absolute() {
            return invalid("root_dir, log_dir: must be absolute");
        }
        Ok(())
    }
}
