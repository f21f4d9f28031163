//! What to tell the API server about a pod.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus as ApiContainerStatus, HostIP, PodIP, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{
    backoff, conditions,
    phase::{phase, stopped_phase},
    plan::{Input, Wish, crash_wait},
    resources::qos_class,
    spec::{Kind, PodContainer, full_name, host_network, pod_ref},
};
use crate::seam::{ContainerState, ContainerStatus};

/// What the node knows that every status needs.
#[derive(Debug, Clone)]
pub(crate) struct NodeFacts {
    pub(crate) node_ips: Vec<IpAddr>,
    /// Name of the runtime, the scheme of container ids.
    pub(crate) runtime: String,
}

/// Whole seconds, as the API has them.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// The pod's status. `stopped` means that every container has been stopped for good.
pub(crate) fn compute(input: &Input<'_>, wish: Wish, stopped: bool, facts: &NodeFacts) -> PodStatus {
    let old = input.pod.status.clone().unwrap_or_default();
    let phase = if stopped && wish != Wish::Run { stopped_phase(input) } else { phase(input) };
    let of = |kinds: &[Kind]| -> Vec<ApiContainerStatus> {
        let chosen = input.containers.iter().filter(|c| kinds.contains(&c.kind));
        chosen.map(|c| container_status(input, c, stopped, facts)).collect()
    };
    let none_if_empty = |list: Vec<ApiContainerStatus>| (!list.is_empty()).then_some(list);
    let init = of(&[Kind::Init, Kind::Sidecar]);
    let apps = of(&[Kind::App]);
    let ips = pod_ips(input, facts);
    let ended = input.memory.ended.as_ref();
    let conditions =
        conditions::compute(input, phase, &init, &apps, old.conditions.as_deref().unwrap_or_default());
    PodStatus {
        phase: Some(phase.as_str().to_owned()),
        reason: ended.map(|(reason, _)| (*reason).to_owned()).or(old.reason),
        message: ended.map(|(_, message)| message.clone()).or(old.message),
        conditions: Some(conditions),
        init_container_statuses: none_if_empty(init),
        container_statuses: none_if_empty(apps),
        ephemeral_container_statuses: none_if_empty(of(&[Kind::Ephemeral])),
        host_ip: facts.node_ips.first().map(IpAddr::to_string),
        host_ips: Some(facts.node_ips.iter().map(|ip| HostIP { ip: ip.to_string() }).collect()),
        pod_ip: ips.first().map(IpAddr::to_string).or(old.pod_ip),
        pod_ips: match ips.is_empty() {
            true => old.pod_ips,
            false => Some(ips.iter().map(|ip| PodIP { ip: ip.to_string() }).collect()),
        },
        start_time: old.start_time.or_else(|| Some(time(input.now))),
        qos_class: Some(qos_class(input.pod).as_str().to_owned()),
        observed_generation: input.pod.metadata.generation,
        ..PodStatus::default()
    }
}

fn pod_ips(input: &Input<'_>, facts: &NodeFacts) -> Vec<IpAddr> {
    match input.observed.sandbox() {
        Some(_) if host_network(input.pod) => facts.node_ips.clone(),
        Some(sandbox) if !sandbox.ips.is_empty() => sandbox.ips.clone(),
        _ => input.memory.addresses.clone(),
    }
}

fn container_status(
    input: &Input<'_>,
    container: &PodContainer,
    stopped: bool,
    facts: &NodeFacts,
) -> ApiContainerStatus {
    let name = container.name();
    let latest = input.observed.latest(name);
    let (mut state, waits) = state_of(input, container, latest, facts);
    let mut last = input.observed.previous(name);
    if waits {
        last = latest.filter(|c| c.state == ContainerState::Exited).or(last);
    }
    if stopped && state.waiting.is_some() && input.pod.metadata.deletion_timestamp.is_some() {
        state = lost_state();
    }
    let restarts = latest.map(|c| c.attempt).or(input.memory.restarts.get(name).copied()).unwrap_or(0);
    let running = latest.filter(|c| c.state == ContainerState::Running);
    let health = running.and_then(|c| input.memory.health.get(&c.id));
    let completed = container.kind == Kind::Init
        && latest.is_some_and(|c| c.state == ContainerState::Exited && c.exit_code == 0);
    let shown = latest.filter(|c| c.state != ContainerState::Created || !waits);
    ApiContainerStatus {
        name: name.to_owned(),
        image: container.spec.image.clone().unwrap_or_default(),
        image_id: shown.map(|c| image_id(container, c)).unwrap_or_default(),
        container_id: shown.map(|c| container_id(facts, c)),
        ready: completed || health.is_some_and(|h| h.started && h.ready),
        started: (container.kind != Kind::Ephemeral).then(|| health.is_some_and(|h| h.started)),
        restart_count: i32::try_from(restarts).unwrap_or(i32::MAX),
        state: Some(state),
        last_state: Some(
            last.map(|c| ApiState { terminated: Some(terminated(facts, c)), ..Default::default() })
                .unwrap_or_default(),
        ),
        resources: running.and(container.spec.resources.clone()),
        ..ApiContainerStatus::default()
    }
}

/// Digest references read `repository@sha256:…`; plain ids stay.
fn image_id(container: &PodContainer, c: &ContainerStatus) -> String {
    let image = container.spec.image.as_deref().unwrap_or_default();
    match c.image_ref.is_empty() {
        true => image.to_owned(),
        false => c.image_ref.clone(),
    }
}

fn container_id(facts: &NodeFacts, c: &ContainerStatus) -> String {
    format!("{}://{}", facts.runtime, c.id)
}

/// The state, and whether the container waits to be started (again).
fn state_of(
    input: &Input<'_>,
    container: &PodContainer,
    latest: Option<&ContainerStatus>,
    facts: &NodeFacts,
) -> (ApiState, bool) {
    match latest {
        Some(c) if c.state == ContainerState::Running => {
            let started_at = c.started_at.map(time);
            (ApiState { running: Some(ContainerStateRunning { started_at }), ..ApiState::default() }, false)
        }
        Some(c) if c.state == ContainerState::Exited => match wait_after_end(input, container, c) {
            Some((reason, message)) => (waiting(reason, Some(message)), true),
            None => (ApiState { terminated: Some(terminated(facts, c)), ..ApiState::default() }, false),
        },
        _ => (waiting_to_start(input, container), true),
    }
}

/// Why an ended container that will be started again is not started yet.
fn wait_after_end(
    input: &Input<'_>,
    container: &PodContainer,
    ended: &ContainerStatus,
) -> Option<(&'static str, String)> {
    let stopping = input.pod.metadata.deletion_timestamp.is_some() || input.memory.ended.is_some();
    if stopping || !container.restarts_after(ended.exit_code) {
        return None;
    }
    if crash_wait(input, ended).is_some() {
        let delay = input.memory.crashes.get(&ended.name).map(|b| b.delay).unwrap_or_default();
        return Some(("CrashLoopBackOff", crash_message(input, &ended.name, delay)));
    }
    let problem = input.memory.problems.get(&ended.name)?;
    let (reason, message) = problem.shown(input.now);
    Some((reason, message.to_owned()))
}

pub(crate) fn crash_message(input: &Input<'_>, name: &str, delay: jiff::SignedDuration) -> String {
    let pod = full_name(&pod_ref(input.pod));
    format!("back-off {} restarting failed container={name} pod={pod}", backoff::in_words(delay))
}

fn waiting_to_start(input: &Input<'_>, container: &PodContainer) -> ApiState {
    if let Some(problem) = input.memory.problems.get(container.name()) {
        let (reason, message) = problem.shown(input.now);
        return waiting(reason, Some(message.to_owned()));
    }
    let has_init = input.containers.iter().any(|c| matches!(c.kind, Kind::Init | Kind::Sidecar));
    waiting(if has_init { "PodInitializing" } else { "ContainerCreating" }, None)
}

fn waiting(reason: &str, message: Option<String>) -> ApiState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ApiState { waiting: Some(waiting), ..ApiState::default() }
}

fn terminated(facts: &NodeFacts, c: &ContainerStatus) -> ContainerStateTerminated {
    ContainerStateTerminated {
        container_id: Some(container_id(facts, c)),
        exit_code: c.exit_code,
        reason: Some(c.reason.as_str().to_owned()).filter(|r| !r.is_empty()),
        message: Some(c.message.clone()).filter(|m| !m.is_empty()),
        started_at: c.started_at.map(time),
        finished_at: c.finished_at.map(time),
        signal: None,
    }
}

/// A container that never ran, in a pod that is gone.
fn lost_state() -> ApiState {
    let terminated = ContainerStateTerminated {
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".to_owned()),
        message: Some("The container could not be located when the pod was terminated".to_owned()),
        ..ContainerStateTerminated::default()
    };
    ApiState { terminated: Some(terminated), ..ApiState::default() }
}
