//! A pod's phase out of its containers.

use super::{
    observed::is_alive,
    plan::Input,
    spec::{Kind, PodContainer, RestartPolicy, pod_policy},
};
use crate::seam::ContainerState;

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// Whether a pod in this phase never runs again.
pub(crate) fn is_final(phase: Phase) -> bool {
    matches!(phase, Phase::Succeeded | Phase::Failed)
}

/// Whether the API server already has a final phase for the pod.
pub(crate) fn told_final(input: &Input<'_>) -> Option<Phase> {
    match input.pod.status.as_ref().and_then(|s| s.phase.as_deref()) {
        Some("Succeeded") => Some(Phase::Succeeded),
        Some("Failed") => Some(Phase::Failed),
        _ => None,
    }
}

#[derive(Default)]
struct Counts {
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
}

/// The phase while the pod should run. A final phase is never left.
pub(crate) fn phase(input: &Input<'_>) -> Phase {
    if input.memory.ended.is_some() {
        return Phase::Failed;
    }
    if let Some(phase) = told_final(input) {
        return phase;
    }
    if let Some(early) = init_phase(input) {
        return early;
    }
    let counts = count(input);
    if counts.waiting > 0 {
        return Phase::Pending;
    }
    if counts.running > 0 {
        return Phase::Running;
    }
    let restarts = input.containers.iter().filter(|c| c.kind == Kind::App).any(|c| will_restart(input, c));
    match counts.stopped {
        0 => Phase::Pending,
        _ if restarts => Phase::Running,
        stopped if stopped == counts.succeeded => Phase::Succeeded,
        _ => Phase::Failed,
    }
}

/// The phase of a pod that was told to stop and has stopped.
pub(crate) fn stopped_phase(input: &Input<'_>) -> Phase {
    if let Some(phase) = told_final(input) {
        return phase;
    }
    let counts = count(input);
    match counts.stopped {
        0 if input.memory.ended.is_some() => Phase::Failed,
        0 => Phase::Pending,
        stopped if stopped == counts.succeeded && counts.waiting == 0 && input.memory.ended.is_none() => {
            Phase::Succeeded
        }
        _ => Phase::Failed,
    }
}

/// `Pending` while init containers are under way, `Failed` when one failed for good, `None` when they are done.
fn init_phase(input: &Input<'_>) -> Option<Phase> {
    let apps = input.containers.iter().filter(|c| c.kind == Kind::App);
    if apps.into_iter().any(|c| input.observed.latest(c.name()).is_some()) {
        return None;
    }
    for container in input.containers.iter().filter(|c| c.kind == Kind::Init) {
        match input.observed.latest(container.name()) {
            Some(c) if c.state == ContainerState::Exited && c.exit_code == 0 => {}
            Some(c) if c.state == ContainerState::Exited && !container.restarts_after(c.exit_code) => {
                return Some(Phase::Failed);
            }
            _ => return Some(Phase::Pending),
        }
    }
    None
}

fn count(input: &Input<'_>) -> Counts {
    let mut counts = Counts::default();
    for container in input.containers.iter().filter(|c| c.kind == Kind::App) {
        match input.observed.latest(container.name()) {
            Some(c) if is_alive(c) => counts.running += 1,
            Some(c) if c.state == ContainerState::Exited => {
                counts.stopped += 1;
                counts.succeeded += usize::from(c.exit_code == 0);
            }
            // A container that ran before and is being made again counts as stopped.
            _ if input.observed.previous(container.name()).is_some() => counts.stopped += 1,
            _ => counts.waiting += 1,
        }
    }
    counts
}

fn will_restart(input: &Input<'_>, container: &PodContainer) -> bool {
    match input.observed.latest(container.name()) {
        Some(c) if c.state == ContainerState::Exited => container.restarts_after(c.exit_code),
        Some(_) => true,
        None => pod_policy(input.pod) != RestartPolicy::Never,
    }
}
