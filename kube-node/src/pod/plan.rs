//! What to do next for a pod.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::{
    backoff::Backoff,
    names,
    observed::{Busy, Memory, Observed, Volumes, is_alive},
    phase::{is_final, phase},
    spec::{Kind, PodContainer, RestartPolicy, pod_policy},
};
use crate::seam::{ContainerId, ContainerState, ContainerStatus, SandboxId, SandboxState};

/// Grace for a pod that vanished from the API without telling one.
const LEAST_GRACE: i64 = 1;

/// What the API server wants of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It should run.
    Run,
    /// It should end: until `deadline` politely.
    Stop { deadline: Timestamp },
    /// It does not exist any more; as `Stop`, and nothing of it may stay.
    Gone { deadline: Timestamp },
}

/// One thing to do. The driver runs each as its own task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Mount,
    RunSandbox {
        attempt: u32,
    },
    /// Pull, create, start, postStart.
    Start {
        name: String,
        attempt: u32,
    },
    /// preStop, stop.
    Stop {
        id: ContainerId,
        name: String,
        grace: Duration,
        message: String,
        hooks: bool,
    },
    RemoveContainer(ContainerId),
    StopSandbox(SandboxId),
    RemoveSandbox(SandboxId),
    Unmount,
    /// Delete the pod from the API with grace 0.
    DeletePod,
    /// Nothing is left: the worker ends.
    Forget,
}

/// What to do now, and when to look again at the latest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    pub(crate) wake: Option<Timestamp>,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }
}

/// What plans are made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) containers: &'a [PodContainer],
    pub(crate) observed: &'a Observed,
    pub(crate) memory: &'a Memory,
    pub(crate) now: Timestamp,
}

/// What the API server wants: `vanished` is when the pod was seen to be gone.
pub(crate) fn wish(input: &Input<'_>, vanished: Option<Timestamp>, ended_at: Option<Timestamp>) -> Wish {
    let meta = &input.pod.metadata;
    let told = meta.deletion_grace_period_seconds;
    let own = input.pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
    if let Some(since) = vanished {
        let grace = told.unwrap_or(LEAST_GRACE).clamp(LEAST_GRACE, own.max(LEAST_GRACE));
        return Wish::Gone { deadline: since + SignedDuration::from_secs(grace) };
    }
    if let Some(at) = &meta.deletion_timestamp {
        // The deletion timestamp is the time of the request plus the grace period.
        let late = input.now + SignedDuration::from_secs(told.unwrap_or(own).max(LEAST_GRACE));
        return Wish::Stop {
            deadline: at.0.max(input.now + SignedDuration::from_secs(LEAST_GRACE)).min(late),
        };
    }
    match ended_at {
        Some(at) => Wish::Stop { deadline: at + SignedDuration::from_secs(own.max(LEAST_GRACE)) },
        None => Wish::Run,
    }
}

/// Decides what to do next.
pub(crate) fn plan(input: &Input<'_>, wish: Wish) -> Plan {
    let mut plan = Plan::default();
    match wish {
        Wish::Run if is_final(phase(input)) => {
            stop(input, &mut plan, input.now + SignedDuration::from_secs(30));
        }
        Wish::Run => run(input, &mut plan),
        Wish::Stop { deadline } => {
            if stop(input, &mut plan, deadline) && input.pod.metadata.deletion_timestamp.is_some() {
                push_unless_busy(input, &mut plan, Busy::Delete, Action::DeletePod);
            }
        }
        Wish::Gone { deadline } => {
            if stop(input, &mut plan, deadline) {
                forget(input, &mut plan);
            }
        }
    }
    plan
}

fn push_unless_busy(input: &Input<'_>, plan: &mut Plan, key: Busy, action: Action) {
    if !input.memory.busy.contains(&key) {
        plan.actions.push(action);
    }
}

/// Stops everything; true when nothing is left to stop.
fn stop(input: &Input<'_>, plan: &mut Plan, deadline: Timestamp) -> bool {
    let (observed, memory) = (input.observed, input.memory);
    let starting = memory.busy.iter().any(|b| matches!(b, Busy::Start(_)));
    let mut alive = false;
    let mut main_alive = starting;
    for container in input.containers.iter().rev() {
        let sidecar = container.kind == Kind::Sidecar;
        for status in observed.instances(container.name()).filter(|c| is_alive(c)) {
            alive = true;
            // Sidecars go after everything that may need them, the last one first.
            if !(sidecar && main_alive) {
                stop_one(input, plan, status, deadline, format!("Stopping container {}", status.name));
            }
        }
        main_alive |= observed.is_running(container.name());
    }
    for stray in observed.containers().iter().filter(|c| is_alive(c) && !is_known(input, c)) {
        alive = true;
        stop_one(input, plan, stray, deadline, format!("Stopping container {}", stray.name));
    }
    if alive || memory.any_container_op() || memory.sandbox_busy() {
        return false;
    }
    let ready = observed.sandboxes().iter().find(|s| s.state == SandboxState::Ready);
    if let Some(sandbox) = ready {
        plan.actions.push(Action::StopSandbox(sandbox.id.clone()));
        return false;
    }
    if memory.busy.contains(&Busy::Volumes) {
        return false;
    }
    if memory.volumes != Volumes::Unmounted {
        match memory.mount_retry.filter(|at| *at > input.now) {
            Some(at) => plan.wake_at(at),
            None => plan.actions.push(Action::Unmount),
        }
        return false;
    }
    true
}

fn is_known(input: &Input<'_>, status: &ContainerStatus) -> bool {
    input.containers.iter().any(|c| c.name() == status.name)
}

/// Stops one container, or shortens the time that it has left.
fn stop_one(
    input: &Input<'_>,
    plan: &mut Plan,
    status: &ContainerStatus,
    deadline: Timestamp,
    message: String,
) {
    let memory = input.memory;
    if memory.busy.contains(&Busy::Remove(status.id.clone())) {
        return;
    }
    let told = memory.stopping.get(&status.id);
    let shorter = told.is_some_and(|t| deadline + SignedDuration::from_secs(1) < *t);
    if memory.busy.contains(&Busy::Stop(status.id.clone())) && !shorter {
        return;
    }
    let left = deadline.duration_since(input.now).max(SignedDuration::ZERO);
    plan.actions.push(Action::Stop {
        id: status.id.clone(),
        name: status.name.clone(),
        grace: Duration::try_from(left).unwrap_or_default(),
        message,
        hooks: told.is_none(),
    });
}

/// Removes what is left of a pod that does not exist any more.
fn forget(input: &Input<'_>, plan: &mut Plan) {
    if input.memory.sandbox_busy() || input.memory.any_container_op() {
        return;
    }
    let orphans = input.observed.containers().iter();
    let homeless = orphans.filter(|c| !input.observed.sandboxes().iter().any(|s| s.id == c.sandbox));
    plan.actions.extend(homeless.map(|c| Action::RemoveContainer(c.id.clone())));
    if let Some(sandbox) = input.observed.sandbox() {
        plan.actions.push(Action::RemoveSandbox(sandbox.id.clone()));
    } else if plan.actions.is_empty() {
        plan.actions.push(Action::Forget);
    }
}

/// Brings the pod closer to running.
fn run(input: &Input<'_>, plan: &mut Plan) {
    remove_old(input, plan);
    mount(input, plan);
    let Some(sandbox) = input.observed.ready_sandbox() else {
        return new_sandbox(input, plan);
    };
    if input.memory.volumes != Volumes::Mounted {
        return;
    }
    let sandbox = sandbox.id.clone();
    restart_unhealthy(input, plan);
    if start_init(input, plan, &sandbox) {
        start_apps(input, plan, &sandbox);
    }
    start_ephemeral(input, plan, &sandbox);
}

/// Of each container the newest instance and the newest ended one before it are kept, for its logs and its last state.
fn remove_old(input: &Input<'_>, plan: &mut Plan) {
    for container in input.containers {
        let ended = input.observed.instances(container.name()).skip(1).filter(|c| !is_alive(c));
        for old in ended.skip(1).filter(|c| !input.memory.touching(c)) {
            plan.actions.push(Action::RemoveContainer(old.id.clone()));
        }
    }
    if input.memory.sandbox_busy() || input.memory.any_container_op() {
        return;
    }
    let current = input.observed.ready_sandbox().map(|s| &s.id);
    let outdated = input.observed.sandboxes().iter().skip(1).find(|s| {
        // Without a ready one the newest may still become ready; those that are dead pile up where none lives long.
        (current.is_some() || s.state == SandboxState::NotReady)
            && !input.observed.containers().iter().any(|c| c.sandbox == s.id)
    });
    plan.actions.extend(outdated.map(|s| Action::RemoveSandbox(s.id.clone())));
}

fn mount(input: &Input<'_>, plan: &mut Plan) {
    let memory = input.memory;
    if memory.volumes == Volumes::Mounted || memory.busy.contains(&Busy::Volumes) {
        return;
    }
    match memory.mount_retry.filter(|at| *at > input.now) {
        Some(at) => plan.wake_at(at),
        None => plan.actions.push(Action::Mount),
    }
}

/// Makes a sandbox where there is none, after everything in broken ones has been stopped.
fn new_sandbox(input: &Input<'_>, plan: &mut Plan) {
    let (observed, memory) = (input.observed, input.memory);
    let mut alive = memory.any_container_op() || memory.sandbox_busy();
    for status in observed.containers().iter().filter(|c| is_alive(c)) {
        alive = true;
        let why = "Pod sandbox changed, it will be killed and re-created.".to_owned();
        stop_one(input, plan, status, input.now + SignedDuration::from_secs(30), why);
    }
    let removing = plan.actions.iter().any(|action| matches!(action, Action::RemoveSandbox(_)));
    if alive || removing {
        return;
    }
    if let Some(at) = memory.sandbox_retry.filter(|at| *at > input.now) {
        return plan.wake_at(at);
    }
    let attempt = observed.sandbox().map_or(0, |s| s.attempt + 1);
    plan.actions.push(Action::RunSandbox { attempt });
}

/// Stops containers that a probe found unhealthy or whose image changed; their end then leads to a new start.
fn restart_unhealthy(input: &Input<'_>, plan: &mut Plan) {
    let grace = input.pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
    for container in input.containers {
        let Some(status) = input.observed.latest(container.name()).filter(|c| is_alive(c)) else { continue };
        if input.memory.touching(status) {
            continue;
        }
        let health = input.memory.health.get(&status.id);
        let (message, grace) = match health.and_then(|h| h.restart.as_ref()) {
            Some((message, own)) => (message.clone(), own.unwrap_or(grace)),
            None if changed(container, status) => {
                (format!("Container {} definition changed, will be restarted", container.name()), grace)
            }
            None => continue,
        };
        let deadline = input.now + SignedDuration::from_secs(grace.max(LEAST_GRACE));
        stop_one(input, plan, status, deadline, message);
    }
}

fn changed(container: &PodContainer, status: &ContainerStatus) -> bool {
    let stated = status.annotations.get(names::CONTAINER_HASH);
    container.kind != Kind::Ephemeral && stated.is_some_and(|hash| *hash != container.hash())
}

/// Starts init containers one after the other; true when they let the app containers start.
fn start_init(input: &Input<'_>, plan: &mut Plan, sandbox: &SandboxId) -> bool {
    let in_sandbox = |c: &&ContainerStatus| c.sandbox == *sandbox;
    let apps = input.containers.iter().filter(|c| c.kind == Kind::App);
    let initialised = apps.clone().any(|c| input.observed.latest(c.name()).filter(in_sandbox).is_some());
    for container in input.containers.iter().filter(|c| matches!(c.kind, Kind::Init | Kind::Sidecar)) {
        if container.kind == Kind::Init && initialised {
            continue;
        }
        let latest = input.observed.latest(container.name()).filter(in_sandbox);
        let done = match (container.kind, latest) {
            (Kind::Init, Some(c)) => c.state == ContainerState::Exited && c.exit_code == 0,
            (_, Some(c)) => c.state == ContainerState::Running && input.memory.is_started(&c.id),
            (_, None) => false,
        };
        if !done {
            start(input, plan, container, sandbox);
            if !initialised {
                return false;
            }
        }
    }
    true
}

/// Starts app containers in order; one that is being started holds up those after it, one that cannot start does not.
fn start_apps(input: &Input<'_>, plan: &mut Plan, sandbox: &SandboxId) {
    for container in input.containers.iter().filter(|c| c.kind == Kind::App) {
        start(input, plan, container, sandbox);
        let begun =
            matches!(plan.actions.last(), Some(Action::Start { name, .. }) if name == container.name());
        if begun || input.memory.starting(container.name()) {
            return;
        }
    }
}

fn start_ephemeral(input: &Input<'_>, plan: &mut Plan, sandbox: &SandboxId) {
    for container in input.containers.iter().filter(|c| c.kind == Kind::Ephemeral) {
        if input.observed.latest(container.name()).is_none() {
            start(input, plan, container, sandbox);
        }
    }
}

/// Starts a container when it should run, does not, and need not wait.
fn start(input: &Input<'_>, plan: &mut Plan, container: &PodContainer, sandbox: &SandboxId) {
    let (name, memory) = (container.name(), input.memory);
    if memory.starting(name) || input.observed.is_running(name) {
        return;
    }
    if input.observed.instances(name).any(|c| memory.touching(c)) {
        return;
    }
    let latest = input.observed.latest(name);
    if let Some(ended) = latest.filter(|c| c.state == ContainerState::Exited) {
        let moved = ended.sandbox != *sandbox && pod_policy(input.pod) != RestartPolicy::Never;
        let again = container.restarts_after(ended.exit_code) || (moved && container.kind != Kind::App);
        if !again {
            return;
        }
        if let Some(until) = crash_wait(input, ended) {
            return plan.wake_at(until);
        }
    }
    if let Some(problem) = memory.problems.get(name).filter(|p| p.until > input.now) {
        if let Some((at, ..)) = problem.later.as_ref().filter(|(at, ..)| *at > input.now) {
            plan.wake_at(*at);
        }
        return plan.wake_at(problem.until);
    }
    if let Some(created) = latest.filter(|c| c.state == ContainerState::Created) {
        // Left behind by an agent that ended between creating and starting.
        return plan.actions.push(Action::RemoveContainer(created.id.clone()));
    }
    plan.actions
        .push(Action::Start { name: name.to_owned(), attempt: memory.next_attempt(input.observed, name) });
}

/// Until when an ended container waits because it keeps ending.
pub(crate) fn crash_wait(input: &Input<'_>, ended: &ContainerStatus) -> Option<Timestamp> {
    let failed = ended.finished_at.unwrap_or(ended.created_at);
    Backoff::until(input.memory.crashes.get(&ended.name), failed, input.now)
}
