//! Usage and images from CRI.

use cri_client::v1;

use super::look::time;
use crate::seam::{ContainerFilter, ContainerId, ContainerStats, FsUsage, ImageStatus, RegistryAuth};

/// Which containers to measure; only running ones are measured, so the state is no matter.
pub(super) fn filter(from: &ContainerFilter) -> v1::ContainerStatsFilter {
    v1::ContainerStatsFilter {
        id: from.id.clone().unwrap_or_default().0,
        pod_sandbox_id: from.sandbox.clone().unwrap_or_default().0,
        label_selector: from.labels.clone().into_iter().collect(),
    }
}

/// What a container uses; `None` when it does not run: containerd lists those too, without a measurement.
pub(super) fn container(from: v1::ContainerStats) -> Option<ContainerStats> {
    let value = |value: Option<v1::UInt64Value>| value.map_or(0, |value| value.value);
    let cpu = from.cpu.unwrap_or_default();
    let memory = from.memory.unwrap_or_default();
    let at = time(cpu.timestamp).or_else(|| time(memory.timestamp))?;
    Some(ContainerStats {
        id: ContainerId(from.attributes.unwrap_or_default().id),
        at,
        cpu_nanos: value(cpu.usage_core_nano_seconds),
        memory_working_set: value(memory.working_set_bytes),
        memory_rss: value(memory.rss_bytes),
        fs_used: value(from.writable_layer.unwrap_or_default().used_bytes),
        pids: 0,
    })
}

/// What an image is.
pub(super) fn image(from: v1::Image) -> ImageStatus {
    ImageStatus {
        id: from.id,
        repo_tags: from.repo_tags,
        repo_digests: from.repo_digests,
        size: from.size,
        user: from.uid.map_or(from.username, |uid| uid.value.to_string()),
        pinned: from.pinned,
    }
}

/// Credentials as the runtime takes them.
pub(super) fn auth(from: &RegistryAuth) -> v1::AuthConfig {
    v1::AuthConfig {
        username: from.username.clone(),
        password: from.password.clone(),
        identity_token: from.identity_token.clone(),
        registry_token: from.registry_token.clone(),
        ..Default::default()
    }
}

/// What all file systems that hold images use together.
pub(super) fn usage(from: &[v1::FilesystemUsage]) -> FsUsage {
    let total = |field: fn(&v1::FilesystemUsage) -> Option<&v1::UInt64Value>| {
        from.iter().filter_map(field).fold(0u64, |sum, more| sum.saturating_add(more.value))
    };
    FsUsage {
        used_bytes: total(|fs| fs.used_bytes.as_ref()),
        inodes_used: total(|fs| fs.inodes_used.as_ref()),
    }
}
