//! Security contexts of pods and containers as the runtime's values.

use k8s_openapi::api::core::v1::{AppArmorProfile, Pod, PodSecurityContext, SeccompProfile, SecurityContext};

use super::spec::PodContainer;
use crate::{
    Error, Result,
    seam::{Capabilities, ContainerSecurity, ImageStatus, NamespaceMode, Namespaces, SecurityProfile},
};

const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The pod-level context.
pub(crate) fn pod_context(pod: &Pod) -> PodSecurityContext {
    pod.spec.as_ref().and_then(|s| s.security_context.clone()).unwrap_or_default()
}

/// Which namespaces the pod shares with the host and its containers with each other.
pub(crate) fn namespaces(pod: &Pod) -> Namespaces {
    let spec = super::spec::spec_of(pod);
    let host =
        |on: Option<bool>| if on.unwrap_or_default() { NamespaceMode::Node } else { NamespaceMode::Pod };
    let pid = match (spec.host_pid.unwrap_or_default(), spec.share_process_namespace.unwrap_or_default()) {
        (true, _) => NamespaceMode::Node,
        (false, true) => NamespaceMode::Pod,
        (false, false) => NamespaceMode::Container,
    };
    Namespaces { network: host(spec.host_network), pid, ipc: host(spec.host_ipc) }
}

/// The container's context over the pod's; `target` is the id of the container whose processes it wants to see.
pub(crate) fn container_security(
    pod: &Pod,
    container: &PodContainer,
    image: &ImageStatus,
    target: Option<String>,
) -> Result<ContainerSecurity> {
    let outer = pod_context(pod);
    let own = container.spec.security_context.clone().unwrap_or_default();
    let run_as_user = own.run_as_user.or(outer.run_as_user);
    verify_non_root(pod, container, &own, &outer, image)?;
    let privileged = own.privileged.unwrap_or_default();
    let mut namespaces = namespaces(pod);
    if let Some(id) = target {
        namespaces.pid = NamespaceMode::Target(id);
    }
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths =
        |list: &[&str]| if unmasked { Vec::new() } else { list.iter().map(|p| (*p).to_owned()).collect() };
    let mut supplemental_groups = outer.supplemental_groups.clone().unwrap_or_default();
    supplemental_groups.extend(outer.fs_group);
    Ok(ContainerSecurity {
        capabilities: Capabilities {
            add: own.capabilities.as_ref().and_then(|c| c.add.clone()).unwrap_or_default(),
            drop: own.capabilities.as_ref().and_then(|c| c.drop.clone()).unwrap_or_default(),
        },
        privileged,
        run_as_user,
        run_as_group: own.run_as_group.or(outer.run_as_group),
        run_as_username: None,
        supplemental_groups,
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or_default(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        seccomp: seccomp(own.seccomp_profile.as_ref().or(outer.seccomp_profile.as_ref())),
        apparmor: apparmor(own.app_armor_profile.as_ref().or(outer.app_armor_profile.as_ref())),
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        namespaces,
    })
}

/// `runAsNonRoot`, in upstream's words.
fn verify_non_root(
    pod: &Pod,
    container: &PodContainer,
    own: &SecurityContext,
    outer: &PodSecurityContext,
    image: &ImageStatus,
) -> Result<()> {
    if !own.run_as_non_root.or(outer.run_as_non_root).unwrap_or_default() {
        return Ok(());
    }
    let place = format!(
        "(pod: {:?}, container: {})",
        super::spec::full_name(&super::spec::pod_ref(pod)),
        container.name()
    );
    let problem = match (own.run_as_user.or(outer.run_as_user), image.uid()) {
        (Some(0), _) => "container's runAsUser breaks non-root policy".to_owned(),
        (Some(_), _) => return Ok(()),
        (None, Some(0)) => "container has runAsNonRoot and image will run as root".to_owned(),
        (None, Some(_)) => return Ok(()),
        (None, None) => format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root",
            image.user
        ),
    };
    Err(Error::Invalid(format!("{problem} {place}")))
}

pub(crate) fn seccomp(profile: Option<&SeccompProfile>) -> SecurityProfile {
    match profile.map(|p| (p.type_.as_str(), p.localhost_profile.clone())) {
        Some(("RuntimeDefault", _)) => SecurityProfile::RuntimeDefault,
        Some(("Localhost", Some(path))) => SecurityProfile::Localhost(path),
        _ => SecurityProfile::Unconfined,
    }
}

fn apparmor(profile: Option<&AppArmorProfile>) -> SecurityProfile {
    match profile.map(|p| (p.type_.as_str(), p.localhost_profile.clone())) {
        Some(("Unconfined", _)) => SecurityProfile::Unconfined,
        Some(("Localhost", Some(name))) => SecurityProfile::Localhost(name),
        _ => SecurityProfile::RuntimeDefault,
    }
}
