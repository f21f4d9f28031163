//! What the fake runtime remembers, and how it changes. No I/O, no waiting.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use jiff::Timestamp;

use super::Script;
use crate::{
    Error, Result,
    seam::{
        ContainerConfig, ContainerId, ContainerReason, ContainerState, ContainerStatus, ImageStatus,
        SandboxConfig, SandboxId, SandboxState, SandboxStatus,
    },
};

#[derive(Debug)]
pub(super) struct Container {
    pub(super) status: ContainerStatus,
    pub(super) pod_uid: String,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) sandboxes: HashMap<SandboxId, SandboxStatus>,
    pub(super) containers: HashMap<ContainerId, Container>,
    pub(super) images: BTreeMap<String, ImageStatus>,
    pub(super) scripts: HashMap<String, Script>,
    pub(super) cidrs: Vec<IpNet>,
    next_id: u64,
    next_address: u128,
}

impl State {
    pub(super) fn new(cidrs: Vec<IpNet>) -> Self {
        Self {
            sandboxes: HashMap::new(),
            containers: HashMap::new(),
            images: BTreeMap::new(),
            scripts: HashMap::new(),
            cidrs,
            next_id: 0,
            next_address: 0,
        }
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("{:064x}", self.next_id)
    }

    pub(super) fn add_sandbox(&mut self, config: &SandboxConfig, now: Timestamp) -> Result<SandboxId> {
        let id = SandboxId(self.id());
        let host_network = config.linux.namespaces.network == crate::seam::NamespaceMode::Node;
        let ips = if host_network { Vec::new() } else { self.addresses()? };
        let status = SandboxStatus {
            id: id.clone(),
            pod: config.pod.clone(),
            attempt: config.attempt,
            state: SandboxState::Ready,
            created_at: now,
            ips,
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        };
        self.sandboxes.insert(id.clone(), status);
        Ok(id)
    }

    /// One address of every range, round robin so that an address is not used again soon.
    fn addresses(&mut self) -> Result<Vec<IpAddr>> {
        let used: std::collections::HashSet<IpAddr> = self
            .sandboxes
            .values()
            .filter(|s| s.state == SandboxState::Ready)
            .flat_map(|s| s.ips.iter().copied())
            .collect();
        self.cidrs.clone().iter().map(|cidr| self.address_in(cidr, &used)).collect()
    }

    fn address_in(&mut self, cidr: &IpNet, used: &std::collections::HashSet<IpAddr>) -> Result<IpAddr> {
        let bits = u32::from(cidr.max_prefix_len() - cidr.prefix_len()).min(64);
        // Network, gateway and broadcast address are not given out.
        let room = (1u128 << bits).saturating_sub(3).max(1);
        for _ in 0..=used.len() {
            let offset = 2 + self.next_address % room;
            self.next_address += 1;
            let address = offset_address(cidr.network(), offset);
            if !used.contains(&address) {
                return Ok(address);
            }
        }
        Err(Error::Failed(format!("no addresses left in {cidr}")))
    }

    pub(super) fn add_container(
        &mut self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
        sandbox_config: &SandboxConfig,
        now: Timestamp,
    ) -> Result<ContainerId> {
        let box_status =
            self.sandboxes.get(sandbox).ok_or_else(|| Error::not_found("sandbox", &sandbox.0))?;
        if box_status.state != SandboxState::Ready {
            return Err(Error::Conflict(format!("sandbox {sandbox} is not ready")));
        }
        let taken = self.containers.values().any(|c| {
            c.status.sandbox == *sandbox && c.status.name == config.name && c.status.attempt == config.attempt
        });
        if taken {
            return Err(Error::Conflict(format!(
                "container {} attempt {} exists already",
                config.name, config.attempt
            )));
        }
        let pod_uid = box_status.pod.uid.clone();
        let id = ContainerId(self.id());
        let log_path = match config.log_path.as_os_str().is_empty() {
            true => Default::default(),
            false => sandbox_config.log_dir.join(&config.log_path),
        };
        let status = ContainerStatus {
            id: id.clone(),
            sandbox: sandbox.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            state: ContainerState::Created,
            created_at: now,
            image: config.user_image.clone(),
            image_ref: config.image.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            log_path,
            ..ContainerStatus::default()
        };
        self.containers.insert(id.clone(), Container { status, pod_uid });
        Ok(id)
    }

    pub(super) fn container(&mut self, id: &ContainerId) -> Result<&mut Container> {
        self.containers.get_mut(id).ok_or_else(|| Error::not_found("container", &id.0))
    }

    /// A running container, else `Conflict`.
    pub(super) fn running(&mut self, id: &ContainerId) -> Result<&mut Container> {
        let container = self.container(id)?;
        match container.status.state {
            ContainerState::Running => Ok(container),
            _ => Err(Error::Conflict(format!("container {id} is not running"))),
        }
    }

    /// Starts a created container; `error` is why it can't be, which is `Failed`.
    pub(super) fn start(
        &mut self,
        id: &ContainerId,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<(ContainerStatus, String)> {
        let container = self.container(id)?;
        if container.status.state != ContainerState::Created {
            return Err(Error::Conflict(format!("container {id} was started before")));
        }
        if let Some(text) = error {
            container.status.message = text.to_owned();
            return Err(Error::Failed(text.to_owned()));
        }
        container.status.state = ContainerState::Running;
        container.status.started_at = Some(now);
        Ok((container.status.clone(), container.pod_uid.clone()))
    }

    /// Ends a container's process; `None` when it does not run.
    pub(super) fn end(
        &mut self,
        id: &ContainerId,
        exit_code: i32,
        reason: ContainerReason,
        now: Timestamp,
    ) -> Option<String> {
        let container = self.containers.get_mut(id)?;
        if !matches!(container.status.state, ContainerState::Running | ContainerState::Created) {
            return None;
        }
        container.status.state = ContainerState::Exited;
        container.status.exit_code = exit_code;
        container.status.reason = reason;
        container.status.finished_at = Some(now);
        Some(container.pod_uid.clone())
    }

    pub(super) fn script_of(&self, id: &ContainerId) -> Script {
        self.containers.get(id).and_then(|c| self.scripts.get(&c.status.image)).cloned().unwrap_or_default()
    }
}

fn offset_address(network: IpAddr, offset: u128) -> IpAddr {
    match network {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4).wrapping_add(offset as u32))),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6).wrapping_add(offset)).into()),
    }
}

/// The reason that goes with an exit code.
pub(super) fn reason_for(exit_code: i32, oom_killed: bool) -> ContainerReason {
    match (exit_code, oom_killed) {
        (_, true) => ContainerReason::OomKilled,
        (0, false) => ContainerReason::Completed,
        _ => ContainerReason::Error,
    }
}
