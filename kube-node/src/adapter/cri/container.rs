//! Containers to CRI and back.

use cri_client::v1;

use super::{linux, look::time};
use crate::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerReason, ContainerState, ContainerStatus, Device,
    Mount, MountPropagation, SandboxId,
};

/// What a container shall be.
pub(super) fn config(from: &ContainerConfig) -> v1::ContainerConfig {
    let image = v1::ImageSpec {
        image: from.image.clone(),
        user_specified_image: from.user_image.clone(),
        ..Default::default()
    };
    let linux = v1::LinuxContainerConfig {
        resources: Some(linux::resources(&from.linux.resources)),
        security_context: Some(linux::container_security(&from.linux.security)),
    };
    let env = |(key, value): &(String, String)| v1::KeyValue { key: key.clone(), value: value.clone() };
    v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: from.name.clone(), attempt: from.attempt }),
        image: Some(image),
        command: from.command.clone(),
        args: from.args.clone(),
        working_dir: from.working_dir.clone(),
        envs: from.envs.iter().map(env).collect(),
        mounts: from.mounts.iter().map(mount).collect(),
        devices: from.devices.iter().map(device).collect(),
        labels: from.labels.clone().into_iter().collect(),
        annotations: from.annotations.clone().into_iter().collect(),
        log_path: from.log_path.to_string_lossy().into_owned(),
        stdin: from.stdin,
        stdin_once: from.stdin_once,
        tty: from.tty,
        linux: Some(linux),
        ..Default::default()
    }
}

fn mount(from: &Mount) -> v1::Mount {
    let propagation = match from.propagation {
        MountPropagation::Private => v1::MountPropagation::PropagationPrivate,
        MountPropagation::HostToContainer => v1::MountPropagation::PropagationHostToContainer,
        MountPropagation::Bidirectional => v1::MountPropagation::PropagationBidirectional,
    };
    v1::Mount {
        container_path: from.container_path.to_string_lossy().into_owned(),
        host_path: from.host_path.to_string_lossy().into_owned(),
        readonly: from.read_only,
        selinux_relabel: from.selinux_relabel,
        propagation: propagation.into(),
        recursive_read_only: from.recursive_read_only,
        ..Default::default()
    }
}

fn device(from: &Device) -> v1::Device {
    v1::Device {
        container_path: from.container_path.to_string_lossy().into_owned(),
        host_path: from.host_path.to_string_lossy().into_owned(),
        permissions: from.permissions.clone(),
    }
}

/// The filter; CRI has one field for each of ours.
pub(super) fn filter(from: &ContainerFilter) -> v1::ContainerFilter {
    let state = from.state.map(|state| match state {
        ContainerState::Created => v1::ContainerState::ContainerCreated.into(),
        ContainerState::Running => v1::ContainerState::ContainerRunning.into(),
        ContainerState::Exited => v1::ContainerState::ContainerExited.into(),
        ContainerState::Unknown => v1::ContainerState::ContainerUnknown.into(),
    });
    v1::ContainerFilter {
        id: from.id.clone().unwrap_or_default().0,
        state: state.map(|state| v1::ContainerStateValue { state }),
        pod_sandbox_id: from.sandbox.clone().unwrap_or_default().0,
        label_selector: from.labels.clone().into_iter().collect(),
    }
}

/// Where in its life a container is.
pub(super) fn state(from: v1::ContainerState) -> ContainerState {
    match from {
        v1::ContainerState::ContainerCreated => ContainerState::Created,
        v1::ContainerState::ContainerRunning => ContainerState::Running,
        v1::ContainerState::ContainerExited => ContainerState::Exited,
        v1::ContainerState::ContainerUnknown => ContainerState::Unknown,
    }
}

/// What a container of `sandbox` is.
pub(super) fn status(sandbox: SandboxId, from: v1::ContainerStatus) -> ContainerStatus {
    let state = state(from.state());
    let finished_at = time(from.finished_at);
    // containerd notes the start when starting has been answered, and a short process has ended by then.
    let started_at = time(from.started_at).map(|at| finished_at.map_or(at, |end| at.min(end)));
    let reason = reason(state, &from.reason, from.exit_code);
    let metadata = from.metadata.unwrap_or_default();
    let image = from.image.unwrap_or_default();
    ContainerStatus {
        id: ContainerId(from.id),
        sandbox,
        name: metadata.name,
        attempt: metadata.attempt,
        state,
        created_at: time(from.created_at).unwrap_or_default(),
        started_at,
        finished_at,
        exit_code: from.exit_code,
        reason,
        message: from.message,
        image: match image.user_specified_image {
            given if given.is_empty() => image.image,
            given => given,
        },
        image_ref: from.image_ref,
        labels: from.labels.into_iter().collect(),
        annotations: from.annotations.into_iter().collect(),
        log_path: from.log_path.into(),
    }
}

/// Why it does not run: the runtime's word where it is one of ours, else what the exit code says.
fn reason(state: ContainerState, word: &str, exit_code: i32) -> ContainerReason {
    match (state, word) {
        (ContainerState::Created | ContainerState::Running, _) => ContainerReason::None,
        (_, "OOMKilled") => ContainerReason::OomKilled,
        (_, "StartError" | "ContainerCannotRun") => ContainerReason::StartError,
        (ContainerState::Exited, _) if exit_code == 0 => ContainerReason::Completed,
        _ => ContainerReason::Error,
    }
}
