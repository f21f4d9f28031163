//! Sandboxes to CRI and back.

use cri_client::v1;

use super::linux;
use crate::seam::{
    DnsConfig, PodRef, PortMapping, Protocol, SandboxConfig, SandboxFilter, SandboxId, SandboxLinux,
    SandboxState, SandboxStatus,
};

/// What a sandbox shall be.
pub(super) fn config(from: &SandboxConfig) -> v1::PodSandboxConfig {
    let metadata = v1::PodSandboxMetadata {
        name: from.pod.name.clone(),
        uid: from.pod.uid.clone(),
        namespace: from.pod.namespace.clone(),
        attempt: from.attempt,
    };
    v1::PodSandboxConfig {
        metadata: Some(metadata),
        hostname: from.hostname.clone(),
        log_directory: from.log_dir.to_string_lossy().into_owned(),
        dns_config: dns(&from.dns),
        port_mappings: from.port_mappings.iter().map(port_mapping).collect(),
        labels: from.labels.clone().into_iter().collect(),
        annotations: from.annotations.clone().into_iter().collect(),
        linux: Some(linux_config(&from.linux)),
        ..Default::default()
    }
}

fn linux_config(from: &SandboxLinux) -> v1::LinuxPodSandboxConfig {
    let security = v1::LinuxSandboxSecurityContext {
        namespace_options: Some(linux::namespaces(&from.namespaces)),
        run_as_user: linux::number(from.run_as_user),
        run_as_group: linux::number(from.run_as_group),
        supplemental_groups: from.supplemental_groups.clone(),
        privileged: from.privileged,
        seccomp: Some(linux::profile(&from.seccomp)),
        ..Default::default()
    };
    v1::LinuxPodSandboxConfig {
        cgroup_parent: from.cgroup_parent.clone(),
        security_context: Some(security),
        sysctls: from.sysctls.clone().into_iter().collect(),
        overhead: Some(linux::resources(&from.overhead)),
        resources: Some(linux::resources(&from.resources)),
    }
}

/// The pod's resolver; `None` makes the runtime use the host's file.
fn dns(from: &DnsConfig) -> Option<v1::DnsConfig> {
    (*from != DnsConfig::default()).then(|| v1::DnsConfig {
        servers: from.servers.clone(),
        searches: from.searches.clone(),
        options: from.options.clone(),
    })
}

fn port_mapping(from: &PortMapping) -> v1::PortMapping {
    let protocol = match from.protocol {
        Protocol::Tcp => v1::Protocol::Tcp,
        Protocol::Udp => v1::Protocol::Udp,
        Protocol::Sctp => v1::Protocol::Sctp,
    };
    v1::PortMapping {
        protocol: protocol.into(),
        container_port: from.container_port.into(),
        host_port: from.host_port.into(),
        host_ip: from.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
    }
}

/// What the runtime can filter by itself; the pod is left to [`SandboxFilter::matches`], since runtimes filter by labels only.
pub(super) fn filter(from: &SandboxFilter) -> v1::PodSandboxFilter {
    let state = from.state.map(|state| match state {
        SandboxState::Ready => v1::PodSandboxState::SandboxReady.into(),
        SandboxState::NotReady => v1::PodSandboxState::SandboxNotready.into(),
    });
    v1::PodSandboxFilter {
        id: from.id.clone().unwrap_or_default().0,
        state: state.map(|state| v1::PodSandboxStateValue { state }),
        ..Default::default()
    }
}

/// What a sandbox is.
pub(super) fn status(from: v1::PodSandboxStatus) -> SandboxStatus {
    let state = match from.state() {
        v1::PodSandboxState::SandboxReady => SandboxState::Ready,
        v1::PodSandboxState::SandboxNotready => SandboxState::NotReady,
    };
    let network = from.network.unwrap_or_default();
    let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|more| more.ip));
    let metadata = from.metadata.unwrap_or_default();
    SandboxStatus {
        id: SandboxId(from.id),
        pod: PodRef { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
        attempt: metadata.attempt,
        state,
        created_at: super::look::time(from.created_at).unwrap_or_default(),
        ips: ips.filter_map(|ip| ip.parse().ok()).collect(),
        labels: from.labels.into_iter().collect(),
        annotations: from.annotations.into_iter().collect(),
    }
}
