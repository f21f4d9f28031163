//! The pod conditions that a node writes.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};

use super::{
    phase::Phase,
    plan::Input,
    spec::{Kind, PodContainer},
    status::time,
};

/// One condition before it is compared with what was there.
struct Found {
    kind: &'static str,
    status: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

/// All conditions of the node, with those of others after them; a transition time changes only with the status.
pub(crate) fn compute(
    input: &Input<'_>,
    phase: Phase,
    init: &[ContainerStatus],
    apps: &[ContainerStatus],
    old: &[PodCondition],
) -> Vec<PodCondition> {
    let containers_ready = containers_ready(input, phase, init, apps);
    let ready = match containers_ready.status {
        false => Found { kind: "Ready", message: containers_ready.message.clone(), ..containers_ready },
        true => gates(input, old),
    };
    let found = [
        plain("PodReadyToStartContainers", input.observed.ready_sandbox().is_some()),
        initialized(input, phase, init),
        ready,
        containers_ready,
        plain("PodScheduled", true),
    ];
    let mut conditions: Vec<PodCondition> = found.into_iter().map(|f| dated(input, f, old)).collect();
    let others =
        old.iter().filter(|c| !conditions.iter().any(|n| n.type_ == c.type_)).cloned().collect::<Vec<_>>();
    conditions.extend(others);
    conditions
}

fn plain(kind: &'static str, status: bool) -> Found {
    Found { kind, status, reason: None, message: None }
}

fn dated(input: &Input<'_>, found: Found, old: &[PodCondition]) -> PodCondition {
    let status = if found.status { "True" } else { "False" };
    let before = old.iter().find(|c| c.type_ == found.kind);
    let same = before.filter(|c| c.status == status);
    PodCondition {
        type_: found.kind.to_owned(),
        status: status.to_owned(),
        reason: found.reason.map(str::to_owned),
        message: found.message,
        last_transition_time: same
            .and_then(|c| c.last_transition_time.clone())
            .or_else(|| Some(time(input.now))),
        last_probe_time: None,
        observed_generation: input.pod.metadata.generation,
    }
}

fn names<'a>(list: impl Iterator<Item = &'a PodContainer>) -> Option<String> {
    let names: Vec<&str> = list.map(PodContainer::name).collect();
    (!names.is_empty()).then(|| format!("[{}]", names.join(" ")))
}

fn containers_ready(
    input: &Input<'_>,
    phase: Phase,
    init: &[ContainerStatus],
    apps: &[ContainerStatus],
) -> Found {
    let kind = "ContainersReady";
    let done = |reason| Found { kind, status: false, reason: Some(reason), message: None };
    match phase {
        Phase::Succeeded => return done("PodCompleted"),
        Phase::Failed => return done("PodFailed"),
        _ => {}
    }
    let is_ready = |c: &PodContainer| init.iter().chain(apps).any(|s| s.name == c.spec.name && s.ready);
    let counted = input.containers.iter().filter(|c| matches!(c.kind, Kind::Sidecar | Kind::App));
    match names(counted.filter(|c| !is_ready(c))) {
        None => plain(kind, true),
        Some(unready) => Found {
            kind,
            status: false,
            reason: Some("ContainersNotReady"),
            message: Some(format!("containers with unready status: {unready}")),
        },
    }
}

fn initialized(input: &Input<'_>, phase: Phase, init: &[ContainerStatus]) -> Found {
    let kind = "Initialized";
    if phase == Phase::Succeeded {
        return Found { kind, status: true, reason: Some("PodCompleted"), message: None };
    }
    let mut apps = input.containers.iter().filter(|c| c.kind == Kind::App);
    if apps.any(|c| input.observed.latest(c.name()).is_some_and(|s| s.started_at.is_some())) {
        return plain(kind, true);
    }
    let complete = |c: &PodContainer| {
        let status = init.iter().find(|s| s.name == c.spec.name);
        status.is_some_and(|s| if c.kind == Kind::Sidecar { s.started == Some(true) } else { s.ready })
    };
    let counted = input.containers.iter().filter(|c| matches!(c.kind, Kind::Sidecar | Kind::Init));
    match names(counted.filter(|c| !complete(c))) {
        None => plain(kind, true),
        Some(incomplete) => Found {
            kind,
            status: false,
            reason: Some("ContainersNotInitialized"),
            message: Some(format!("containers with incomplete status: {incomplete}")),
        },
    }
}

/// `Ready` of a pod whose containers are ready: what its readiness gates say.
fn gates(input: &Input<'_>, old: &[PodCondition]) -> Found {
    let gates = input.pod.spec.as_ref().and_then(|s| s.readiness_gates.as_deref()).unwrap_or_default();
    let problems = gates.iter().filter_map(|gate| {
        let name = &gate.condition_type;
        match old.iter().find(|c| c.type_ == *name) {
            None => Some(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
            Some(c) if c.status != "True" => {
                Some(format!("the status of pod readiness gate {name:?} is not \"True\", but {}", c.status))
            }
            Some(_) => None,
        }
    });
    let problems: Vec<String> = problems.collect();
    match problems.is_empty() {
        true => plain("Ready", true),
        false => Found {
            kind: "Ready",
            status: false,
            reason: Some("ReadinessGatesNotReady"),
            message: Some(problems.join(", ")),
        },
    }
}
