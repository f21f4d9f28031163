//! Pods as the runtime's configurations.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::{
    expand::expand,
    names,
    resources::{cgroup_parent, container_resources, pod_resources},
    security::{container_security, namespaces, pod_context, seccomp},
    spec::{PodContainer, host_network, pod_ref, spec_of},
};
use crate::{
    Result,
    seam::{
        ContainerConfig, ContainerLinux, DnsConfig, ImageStatus, Mount, PodRef, PortMapping, Protocol,
        Resources, SandboxConfig, SandboxLinux,
    },
};

/// Longest host name that Linux takes.
const HOSTNAME_LIMIT: usize = 63;

/// Labels that say whose a sandbox or container is.
pub(crate) fn pod_labels(pod: &PodRef) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::POD_NAME.to_owned(), pod.name.clone()),
        (names::POD_NAMESPACE.to_owned(), pod.namespace.clone()),
        (names::POD_UID.to_owned(), pod.uid.clone()),
    ])
}

/// Where the logs of a pod are: `<logs>/<namespace>_<name>_<uid>`.
pub(crate) fn log_dir(logs: &Path, pod: &PodRef) -> PathBuf {
    logs.join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
}

/// `spec.hostname` or the pod's name, cut to what Linux takes, with the domain when the pod wants that.
pub(crate) fn hostname(pod: &Pod, cluster_domain: &str) -> String {
    let spec = spec_of(pod);
    let mut name = spec.hostname.clone().or(pod.metadata.name.clone()).unwrap_or_default();
    if let Some(own) = spec.hostname_override.clone() {
        return own;
    }
    name.truncate(HOSTNAME_LIMIT);
    let name = name.trim_end_matches(['-', '.']).to_owned();
    match domain(pod, cluster_domain) {
        Some(domain) if spec.set_hostname_as_fqdn == Some(true) => format!("{name}.{domain}"),
        _ => name,
    }
}

/// `<subdomain>.<namespace>.svc.<cluster domain>` of a pod with a subdomain.
pub(crate) fn domain(pod: &Pod, cluster_domain: &str) -> Option<String> {
    let subdomain = pod.spec.as_ref().and_then(|s| s.subdomain.clone()).filter(|s| !s.is_empty())?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    Some(format!("{subdomain}.{namespace}.svc.{cluster_domain}"))
}

/// The sandbox of a pod.
pub(crate) fn sandbox_config(
    pod: &Pod,
    attempt: u32,
    logs: &Path,
    dns: DnsConfig,
    cluster_domain: &str,
) -> SandboxConfig {
    let (spec, whose, outer) = (spec_of(pod), pod_ref(pod), pod_context(pod));
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.extend(pod_labels(&whose));
    let privileged =
        |c: &PodContainer| c.spec.security_context.as_ref().and_then(|s| s.privileged).unwrap_or_default();
    let mut supplemental_groups = outer.supplemental_groups.clone().unwrap_or_default();
    supplemental_groups.extend(outer.fs_group);
    let sysctls = outer.sysctls.iter().flatten().map(|s| (s.name.clone(), s.value.clone()));
    SandboxConfig {
        attempt,
        hostname: if host_network(pod) { String::new() } else { hostname(pod, cluster_domain) },
        log_dir: log_dir(logs, &whose),
        dns,
        port_mappings: if host_network(pod) { Vec::new() } else { port_mappings(&spec) },
        labels,
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        linux: SandboxLinux {
            cgroup_parent: cgroup_parent(pod),
            sysctls: sysctls.collect(),
            namespaces: namespaces(pod),
            seccomp: seccomp(outer.seccomp_profile.as_ref()),
            run_as_user: outer.run_as_user,
            run_as_group: outer.run_as_group,
            supplemental_groups,
            privileged: super::spec::containers(pod).iter().any(privileged),
            resources: pod_resources(pod),
            overhead: Resources::default(),
        },
        runtime_handler: String::new(),
        pod: whose,
    }
}

fn port_mappings(spec: &PodSpec) -> Vec<PortMapping> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    let mapped = ports.filter_map(|p| {
        Some(PortMapping {
            protocol: match p.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            },
            container_port: u16::try_from(p.container_port).ok()?,
            host_port: u16::try_from(p.host_port?).ok().filter(|p| *p > 0)?,
            host_ip: p
                .host_ip
                .as_deref()
                .and_then(|ip| ip.parse().ok())
                .filter(|ip: &std::net::IpAddr| !ip.is_unspecified()),
        })
    });
    mapped.collect()
}

/// What a container's configuration is made from besides the pod.
#[derive(Debug)]
pub(crate) struct ContainerInputs {
    pub(crate) attempt: u32,
    pub(crate) image: ImageStatus,
    pub(crate) envs: Vec<(String, String)>,
    pub(crate) mounts: Vec<Mount>,
    /// Id of the container that an ephemeral one targets.
    pub(crate) target: Option<String>,
    /// The machine's memory in bytes.
    pub(crate) memory_capacity: i64,
}

/// A container of a pod.
pub(crate) fn container_config(
    pod: &Pod,
    container: &PodContainer,
    inputs: ContainerInputs,
) -> Result<ContainerConfig> {
    let spec = &container.spec;
    let security = container_security(pod, container, &inputs.image, inputs.target)?;
    let lookup = |name: &str| inputs.envs.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.clone());
    let expanded = |list: &Option<Vec<String>>| list.iter().flatten().map(|t| expand(t, lookup)).collect();
    let mut labels = pod_labels(&pod_ref(pod));
    labels.insert(names::CONTAINER_NAME.to_owned(), spec.name.clone());
    Ok(ContainerConfig {
        name: spec.name.clone(),
        attempt: inputs.attempt,
        user_image: spec.image.clone().unwrap_or_default(),
        command: expanded(&spec.command),
        args: expanded(&spec.args),
        working_dir: spec.working_dir.clone().unwrap_or_default(),
        log_path: PathBuf::from(&spec.name).join(format!("{}.log", inputs.attempt)),
        stdin: spec.stdin.unwrap_or_default(),
        stdin_once: spec.stdin_once.unwrap_or_default(),
        tty: spec.tty.unwrap_or_default(),
        labels,
        annotations: annotations(pod, container, inputs.attempt),
        linux: ContainerLinux { resources: container_resources(pod, spec, inputs.memory_capacity), security },
        envs: inputs.envs,
        mounts: inputs.mounts,
        devices: Vec::new(),
        image: inputs.image.id,
    })
}

/// Where a container writes its last words unless it says otherwise.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

fn annotations(pod: &Pod, container: &PodContainer, attempt: u32) -> BTreeMap<String, String> {
    let spec = &container.spec;
    let path = spec.termination_message_path.clone().unwrap_or_else(|| TERMINATION_LOG.to_owned());
    let policy = spec.termination_message_policy.clone().unwrap_or_else(|| "File".to_owned());
    let grace = spec_of(pod).termination_grace_period_seconds.unwrap_or(30);
    BTreeMap::from([
        (names::CONTAINER_HASH.to_owned(), container.hash()),
        (names::RESTART_COUNT.to_owned(), attempt.to_string()),
        (names::TERMINATION_MESSAGE_PATH.to_owned(), path),
        (names::TERMINATION_MESSAGE_POLICY.to_owned(), policy),
        (names::GRACE_PERIOD.to_owned(), grace.to_string()),
    ])
}
