//! Probes of running containers, and what their verdicts mean.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::core::v1::{Pod, Probe};
use tokio::sync::mpsc;

use super::{hooks, ops::Subject};
use crate::{
    pod::{
        observed::{Health, Memory, Observed},
        spec::{Kind, PodContainer},
    },
    probe::{Prober, Probing, Verdict, VerdictKind},
    seam::{ContainerId, ContainerState, ContainerStatus},
};

/// Starts and ends probes as containers come and go.
pub(super) struct Probes {
    running: HashMap<ContainerId, (bool, Probing)>,
    sender: mpsc::Sender<Verdict>,
}

impl Probes {
    pub(super) fn new(sender: mpsc::Sender<Verdict>) -> Self {
        Self { running: HashMap::new(), sender }
    }

    /// Brings health entries and probe tasks in line with what runs.
    pub(super) fn follow(&mut self, subject: &Subject, observed: &Observed, memory: &mut Memory) {
        let alive = |c: &&ContainerStatus| c.state == ContainerState::Running;
        let live: Vec<&ContainerStatus> = observed.containers().iter().filter(alive).collect();
        memory.health.retain(|id, _| live.iter().any(|c| c.id == *id));
        self.running.retain(|id, _| live.iter().any(|c| c.id == *id));
        for status in live {
            // Until its postStart hook is done, a container has not started.
            if memory.starting(&status.name) {
                continue;
            }
            let Some(container) = subject.container(&status.name) else { continue };
            let health = memory
                .health
                .entry(status.id.clone())
                .or_insert_with(|| first_health(container, status, &subject.pod));
            let stopping = memory.stopping.contains_key(&status.id);
            self.probe(subject, container, status, health, stopping);
        }
    }

    fn probe(
        &mut self,
        subject: &Subject,
        container: &PodContainer,
        status: &ContainerStatus,
        health: &Health,
        stopping: bool,
    ) {
        if container.kind == Kind::Init {
            return;
        }
        let phase = health.started;
        if stopping && subject.pod.metadata.deletion_timestamp.is_some() {
            // While a pod ends, only readiness still matters, and it is told by the deletion itself.
            self.running.remove(&status.id);
            return;
        }
        if self.running.get(&status.id).is_some_and(|(of, _)| *of == phase) {
            return;
        }
        let prober = Prober {
            target: hooks::target(subject, &status.id, container),
            pod: Arc::clone(&subject.pod),
            events: subject.context.events.clone(),
            verdicts: self.sender.clone(),
        };
        // Probes of a container that has run for a while were adopted: spread them.
        let age = status.started_at.map_or(0, |at| subject.context.clock.now().duration_since(at).as_secs());
        let spread = if age > 10 { subject.context.spread() } else { 0.0 };
        let probing = match phase {
            false => Probing::startup(prober, spread),
            true => Probing::steady(prober, spread),
        };
        self.running.insert(status.id.clone(), (phase, probing));
    }
}

/// What is known about a container that was just seen running: what the API server was told about it, else that nothing was probed yet.
fn first_health(container: &PodContainer, status: &ContainerStatus, pod: &Pod) -> Health {
    let told = pod
        .status
        .iter()
        .flat_map(|s| s.container_statuses.iter().chain(&s.init_container_statuses))
        .flatten();
    let same =
        |id: &Option<String>| id.as_deref().is_some_and(|id| id.ends_with(&format!("//{}", status.id)));
    let told = told.into_iter().find(|s| same(&s.container_id));
    Health {
        started: container.spec.startup_probe.is_none() || told.is_some_and(|s| s.started == Some(true)),
        ready: container.kind != Kind::Init
            && (container.spec.readiness_probe.is_none() || told.is_some_and(|s| s.ready)),
        restart: None,
    }
}

/// Applies a verdict; true when it changed something.
pub(super) fn apply(
    verdict: &Verdict,
    containers: &[PodContainer],
    observed: &Observed,
    memory: &mut Memory,
) -> bool {
    let Some(status) = observed.containers().iter().find(|c| c.id == verdict.id) else { return false };
    let Some(container) = containers.iter().find(|c| c.name() == status.name) else { return false };
    let Some(health) = memory.health.get_mut(&verdict.id) else { return false };
    let before = health.clone();
    match (verdict.kind, verdict.success) {
        (VerdictKind::Startup, true) => health.started = true,
        (VerdictKind::Readiness, success) => health.ready = success,
        (VerdictKind::Liveness, true) => {}
        (VerdictKind::Startup, false) => {
            health.restart = Some(restart(container, "startup", container.spec.startup_probe.as_ref()))
        }
        (VerdictKind::Liveness, false) => {
            health.restart = Some(restart(container, "liveness", container.spec.liveness_probe.as_ref()));
        }
    }
    before != *health
}

fn restart(container: &PodContainer, kind: &str, probe: Option<&Probe>) -> (String, Option<i64>) {
    let message = format!("Container {} failed {kind} probe, will be restarted", container.name());
    (message, probe.and_then(|p| p.termination_grace_period_seconds))
}
