//! The life of a sandbox.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};

use super::record::SandboxRecord;
use super::runtime::{EmbeddedRuntime, Inner, Sandbox};
use super::spec;
use crate::seam::{
    Bandwidth, DnsConfig, NamespaceMode, PodNetwork, RuntimeEventKind, SandboxConfig, SandboxId,
};
use crate::shim::{self, Request, ShimClient, ShimConfig};
use crate::{Error, Result};

/// How long a supervisor may take to end its pod.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// A fresh name: 64 hexadecimal digits, as in other runtimes.
pub(super) fn new_id() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

impl EmbeddedRuntime {
    pub(super) async fn make_sandbox(&self, config: &SandboxConfig) -> Result<SandboxId> {
        if !matches!(config.runtime_handler.as_str(), "" | "embedded") {
            return Err(Error::Invalid(format!("no runtime for {:?} is configured", config.runtime_handler)));
        }
        let id = new_id();
        let cgroup = match config.linux.cgroup_parent.as_str() {
            "" => format!("/kubepods/pod{}", config.pod.uid),
            parent => parent.to_owned(),
        };
        let created_at = self.inner.config.clock.now();
        let record = SandboxRecord {
            id: id.clone(),
            config: config.clone(),
            created_at,
            ready: false,
            cgroup,
            network: None,
        };
        self.inner.write_sandbox_files(&record).map_err(Error::io(format!("create sandbox {id}")))?;
        let shim = ShimClient::new(&self.inner.layout.sandbox(&id));
        self.inner.state.lock().sandboxes.insert(id.clone(), Sandbox { record: record.clone(), shim });
        match self.bring_up(&record).await {
            Ok(()) => {
                self.inner.publish(&config.pod.uid, RuntimeEventKind::SandboxChanged(SandboxId(id.clone())));
                Ok(SandboxId(id))
            }
            Err(error) => {
                if let Err(left) = self.delete_sandbox(&id).await {
                    tracing::warn!(sandbox = id, error = %left, "failed sandbox not removed");
                }
                Err(error)
            }
        }
    }

    async fn bring_up(&self, record: &SandboxRecord) -> Result<()> {
        let inner = &self.inner;
        let linux = &record.config.linux;
        inner
            .hierarchies
            .create(&record.cgroup)
            .map_err(Error::io(format!("create cgroup {}", record.cgroup)))?;
        let limits = spec::limits(&linux.resources);
        inner.hierarchies.limit(&record.cgroup, &limits).map_err(Error::io("limit the pod's cgroup"))?;
        shim::start(&inner.config.shim_program, &inner.config.shim_args, &inner.shim_config(record)).await?;
        let network = if linux.namespaces.network == NamespaceMode::Node {
            None
        } else {
            Some(inner.config.network.add(&inner.pod_network(record)).await?)
        };
        inner.update_sandbox(&record.id, |record| {
            record.network = network;
            record.ready = true;
        })?;
        self.follow(&record.id).await
    }

    pub(super) async fn halt_sandbox(&self, id: &str) -> Result<()> {
        let inner = &self.inner;
        let Ok(sandbox) = inner.sandbox(id) else { return Ok(()) };
        let was_ready = sandbox.record.ready;
        inner.update_sandbox(id, |record| record.ready = false)?;
        match tokio::time::timeout(SHUTDOWN, sandbox.shim.call(&Request::Shutdown)).await {
            Ok(Ok(()) | Err(Error::Unavailable { .. })) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => inner.hierarchies.kill(&sandbox.record.cgroup_of_shim()),
        }
        inner.abandon(id);
        if sandbox.record.config.linux.namespaces.network != NamespaceMode::Node {
            inner.config.network.remove(&inner.pod_network(&sandbox.record)).await?;
        }
        release_netns(&inner.layout.netns(id))
            .map_err(Error::io(format!("release the network namespace of {id}")))?;
        if was_ready {
            inner.publish(
                &sandbox.record.config.pod.uid,
                RuntimeEventKind::SandboxChanged(SandboxId(id.to_owned())),
            );
        }
        Ok(())
    }

    pub(super) async fn delete_sandbox(&self, id: &str) -> Result<()> {
        let Ok(sandbox) = self.inner.sandbox(id) else { return Ok(()) };
        self.halt_sandbox(id).await?;
        let containers: Vec<String> = {
            let state = self.inner.state.lock();
            state
                .containers
                .values()
                .filter(|container| container.sandbox == id)
                .map(|container| container.id.clone())
                .collect()
        };
        for container in containers {
            self.delete_container(&container).await?;
        }
        self.inner.remove_cgroups(&sandbox.record).await;
        let folder = self.inner.layout.sandbox(id);
        remove_folder(folder).await?;
        self.inner.state.lock().sandboxes.remove(id);
        self.inner.publish(
            &sandbox.record.config.pod.uid,
            RuntimeEventKind::SandboxChanged(SandboxId(id.to_owned())),
        );
        Ok(())
    }
}

impl SandboxRecord {
    pub(super) fn cgroup_of_shim(&self) -> String {
        let short: String = self.id.chars().take(16).collect();
        format!("{}/shim-{short}", self.cgroup)
    }
}

impl Inner {
    fn write_sandbox_files(&self, record: &SandboxRecord) -> std::io::Result<()> {
        let folder = self.layout.sandbox(&record.id);
        fs::create_dir_all(self.layout.containers(&record.id))?;
        self.layout.save_sandbox(record)?;
        if !record.config.log_dir.as_os_str().is_empty() {
            fs::create_dir_all(&record.config.log_dir)?;
        }
        fs::write(folder.join("resolv.conf"), resolv_conf(&record.config.dns))?;
        fs::write(folder.join("hostname"), format!("{}\n", hostname(&record.config)))
    }

    fn shim_config(&self, record: &SandboxRecord) -> ShimConfig {
        let linux = &record.config.linux;
        let folder = self.layout.sandbox(&record.id);
        let mut config =
            ShimConfig::new(&record.id, folder, self.images.layers_dir(), record.cgroup_of_shim());
        let host_network = linux.namespaces.network == NamespaceMode::Node;
        config.netns = (!host_network).then(|| self.layout.netns(&record.id));
        config.hostname = (!host_network).then(|| hostname(&record.config));
        config.host_ipc = linux.namespaces.ipc == NamespaceMode::Node;
        config.shared_pid = linux.namespaces.pid == NamespaceMode::Pod;
        // Ports below 1024 and pings need no privilege in a pod's own network, as in other runtimes.
        if !host_network {
            config.sysctls.push(("net.ipv4.ip_unprivileged_port_start".into(), "0".into()));
            config.sysctls.push(("net.ipv4.ping_group_range".into(), "0 2147483647".into()));
        }
        config.sysctls.extend(linux.sysctls.clone());
        config.log_line_bytes = self.config.log_line_bytes;
        config
    }

    pub(super) fn pod_network(&self, record: &SandboxRecord) -> PodNetwork {
        PodNetwork {
            pod: record.config.pod.clone(),
            sandbox: SandboxId(record.id.clone()),
            netns: self.layout.netns(&record.id),
            interface: "eth0".to_owned(),
            port_mappings: record.config.port_mappings.clone(),
            bandwidth: Bandwidth::default(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
        }
    }

    /// Removes the supervisor's cgroup, and the pod's when no other sandbox of the pod is left. A process takes a moment to leave its group
    /// after it was killed.
    async fn remove_cgroups(&self, record: &SandboxRecord) {
        let shared = {
            let state = self.state.lock();
            state
                .sandboxes
                .values()
                .any(|other| other.record.id != record.id && other.record.cgroup == record.cgroup)
        };
        let group = if shared { record.cgroup_of_shim() } else { record.cgroup.clone() };
        for attempt in 0..50 {
            self.hierarchies.kill(&group);
            match self.hierarchies.remove(&group) {
                Ok(()) => return,
                Err(error) if attempt == 49 => tracing::warn!(group, %error, "cgroup not removed"),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

pub(super) async fn remove_folder(folder: std::path::PathBuf) -> Result<()> {
    let doing = format!("remove {}", folder.display());
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(doing)(error)),
        _ => Ok(()),
    }
}

fn release_netns(path: &Path) -> std::io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    // Not mounted is what is wanted.
    let _unmounted = unmount(path, UnmountFlags::DETACH);
    fs::remove_file(path)
}

/// The pod's host name; with the host's network, the host's.
pub(super) fn hostname(config: &SandboxConfig) -> String {
    if config.hostname.is_empty() {
        return rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    config.hostname.clone()
}

fn resolv_conf(dns: &DnsConfig) -> String {
    if dns.servers.is_empty() && dns.searches.is_empty() && dns.options.is_empty() {
        return fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    }
    let mut text: String = dns.servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    for (word, values) in [("search", &dns.searches), ("options", &dns.options)] {
        if !values.is_empty() {
            text.push_str(&format!("{word} {}\n", values.join(" ")));
        }
    }
    text
}
