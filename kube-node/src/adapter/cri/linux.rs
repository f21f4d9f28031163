//! Limits, namespaces and profiles in CRI's words.

use cri_client::v1;

use crate::seam::{Capabilities, ContainerSecurity, NamespaceMode, Namespaces, Resources, SecurityProfile};

/// Limits; what is `None` stays 0, which CRI reads as "leave it alone".
pub(super) fn resources(from: &Resources) -> v1::LinuxContainerResources {
    let signed = |value: Option<u64>| value.map_or(0, |value| i64::try_from(value).unwrap_or(i64::MAX));
    let hugepage_limits = from
        .hugepage_limits
        .iter()
        .map(|(page_size, &limit)| v1::HugepageLimit { page_size: page_size.clone(), limit });
    let mut unified = from.unified.clone();
    if let Some(limit) = from.pids_limit {
        // CRI has no field for it; on cgroup v1 there is no way to say it.
        let limit = if limit < 0 { "max".to_owned() } else { limit.to_string() };
        unified.entry("pids.max".to_owned()).or_insert(limit);
    }
    v1::LinuxContainerResources {
        cpu_shares: signed(from.cpu_shares),
        cpu_quota: from.cpu_quota.unwrap_or(0),
        cpu_period: signed(from.cpu_period),
        memory_limit_in_bytes: from.memory_limit.unwrap_or(0),
        oom_score_adj: from.oom_score_adj.unwrap_or(0).into(),
        cpuset_cpus: from.cpuset_cpus.clone(),
        cpuset_mems: from.cpuset_mems.clone(),
        hugepage_limits: hugepage_limits.collect(),
        unified: unified.into_iter().collect(),
        ..Default::default()
    }
}

/// Who a container's process is and what it may do.
pub(super) fn container_security(from: &ContainerSecurity) -> v1::LinuxContainerSecurityContext {
    v1::LinuxContainerSecurityContext {
        capabilities: Some(capabilities(&from.capabilities)),
        privileged: from.privileged,
        namespace_options: Some(namespaces(&from.namespaces)),
        run_as_user: number(from.run_as_user),
        run_as_group: number(from.run_as_group),
        run_as_username: match from.run_as_user {
            // The number wins, and runtimes refuse both.
            Some(_) => String::new(),
            None => from.run_as_username.clone().unwrap_or_default(),
        },
        readonly_rootfs: from.readonly_rootfs,
        supplemental_groups: from.supplemental_groups.clone(),
        no_new_privs: from.no_new_privs,
        masked_paths: from.masked_paths.clone(),
        readonly_paths: from.readonly_paths.clone(),
        seccomp: Some(profile(&from.seccomp)),
        apparmor: apparmor(&from.apparmor),
        ..Default::default()
    }
}

fn capabilities(from: &Capabilities) -> v1::Capability {
    v1::Capability {
        add_capabilities: from.add.clone(),
        drop_capabilities: from.drop.clone(),
        ..Default::default()
    }
}

/// A user or group id, absent when the image decides.
pub(super) fn number(value: Option<i64>) -> Option<v1::Int64Value> {
    value.map(|value| v1::Int64Value { value })
}

/// Which namespaces are shared with whom.
pub(super) fn namespaces(from: &Namespaces) -> v1::NamespaceOption {
    let mode = |mode: &NamespaceMode| match mode {
        NamespaceMode::Pod => v1::NamespaceMode::Pod as i32,
        NamespaceMode::Container => v1::NamespaceMode::Container as i32,
        NamespaceMode::Node => v1::NamespaceMode::Node as i32,
        NamespaceMode::Target(_) => v1::NamespaceMode::Target as i32,
    };
    let target_id = match &from.pid {
        NamespaceMode::Target(id) => id.clone(),
        _ => String::new(),
    };
    v1::NamespaceOption {
        network: mode(&from.network),
        pid: mode(&from.pid),
        ipc: mode(&from.ipc),
        target_id,
        ..Default::default()
    }
}

/// A seccomp profile.
pub(super) fn profile(from: &SecurityProfile) -> v1::SecurityProfile {
    let (kind, localhost_ref) = match from {
        SecurityProfile::Unconfined => (v1::security_profile::ProfileType::Unconfined, String::new()),
        SecurityProfile::RuntimeDefault => (v1::security_profile::ProfileType::RuntimeDefault, String::new()),
        SecurityProfile::Localhost(name) => (v1::security_profile::ProfileType::Localhost, name.clone()),
    };
    v1::SecurityProfile { profile_type: kind.into(), localhost_ref }
}

/// An AppArmor profile. The default is said by saying nothing: asked for by name, runtimes refuse it where the kernel has no AppArmor.
fn apparmor(from: &SecurityProfile) -> Option<v1::SecurityProfile> {
    (*from != SecurityProfile::RuntimeDefault).then(|| profile(from))
}
