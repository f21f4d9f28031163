//! The tasks that probe one running container.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Probe};
use tokio::{sync::mpsc, task::JoinSet};

use super::{Counter, Target};
use crate::{
    events::{Level, Recorder},
    seam::ContainerId,
};

/// Which probe spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VerdictKind {
    Startup,
    Liveness,
    Readiness,
}

impl VerdictKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// A probe's thresholds were reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) id: ContainerId,
    pub(crate) kind: VerdictKind,
    pub(crate) success: bool,
}

/// The running probes of one container; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Probing {
    _tasks: JoinSet<()>,
}

/// What all probes of a container need.
#[derive(Clone)]
pub(crate) struct Prober {
    pub(crate) target: Target,
    pub(crate) pod: std::sync::Arc<Pod>,
    pub(crate) events: Recorder,
    pub(crate) verdicts: mpsc::Sender<Verdict>,
}

impl Probing {
    /// Probes whether the container has started up.
    pub(crate) fn startup(prober: Prober, spread: f64) -> Self {
        let mut tasks = JoinSet::new();
        if let Some(probe) = prober.target.container.startup_probe.clone() {
            tasks.spawn(prober.run(probe, VerdictKind::Startup, spread));
        }
        Self { _tasks: tasks }
    }

    /// Probes a container that has started up. `spread` in 0..1 shifts the first attempt, so that probes of a restarted agent do not come all at once.
    pub(crate) fn steady(prober: Prober, spread: f64) -> Self {
        let mut tasks = JoinSet::new();
        let container = prober.target.container.clone();
        if let Some(probe) = container.liveness_probe.clone() {
            tasks.spawn(prober.clone().run(probe, VerdictKind::Liveness, spread));
        }
        if let Some(probe) = container.readiness_probe.clone() {
            tasks.spawn(prober.run(probe, VerdictKind::Readiness, spread));
        }
        Self { _tasks: tasks }
    }
}

fn seconds(n: Option<i32>, default: i32) -> Duration {
    Duration::from_secs(u64::try_from(n.unwrap_or(default)).unwrap_or_default())
}

impl Prober {
    async fn run(self, probe: Probe, kind: VerdictKind, spread: f64) {
        let period = seconds(probe.period_seconds, 10).max(Duration::from_secs(1));
        tokio::time::sleep(seconds(probe.initial_delay_seconds, 0) + period.mul_f64(spread.clamp(0.0, 1.0)))
            .await;
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut counter =
            Counter::new(probe.success_threshold.unwrap_or(1), probe.failure_threshold.unwrap_or(3));
        loop {
            ticks.tick().await;
            let result = self.target.probe(&probe).await;
            if let Err(error) = &result {
                let message = format!("{} probe failed: {error}", kind.as_str());
                let name = Some(self.target.container.name.as_str());
                self.events.pod(&self.pod, name, Level::Warning, "Unhealthy", message);
            }
            let Some(success) = counter.record(result.is_ok()) else { continue };
            let verdict = Verdict { id: self.target.id.clone(), kind, success };
            if self.verdicts.send(verdict).await.is_err() {
                return;
            }
        }
    }
}
