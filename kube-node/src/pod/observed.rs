//! What the runtime has for one pod, and what its worker remembers about it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::backoff::Backoff;
use crate::seam::{ContainerId, ContainerState, ContainerStatus, SandboxState, SandboxStatus};

/// Sandboxes and containers of a pod, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Observed {
    sandboxes: Vec<SandboxStatus>,
    containers: Vec<ContainerStatus>,
}

impl Observed {
    pub(crate) fn new(mut sandboxes: Vec<SandboxStatus>, mut containers: Vec<ContainerStatus>) -> Self {
        sandboxes.sort_by_key(|s| std::cmp::Reverse((s.attempt, s.created_at)));
        containers.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
        Self { sandboxes, containers }
    }

    pub(crate) fn sandboxes(&self) -> &[SandboxStatus] {
        &self.sandboxes
    }

    pub(crate) fn containers(&self) -> &[ContainerStatus] {
        &self.containers
    }

    /// The newest sandbox.
    pub(crate) fn sandbox(&self) -> Option<&SandboxStatus> {
        self.sandboxes.first()
    }

    /// The newest sandbox when it is usable.
    pub(crate) fn ready_sandbox(&self) -> Option<&SandboxStatus> {
        self.sandbox().filter(|s| s.state == SandboxState::Ready)
    }

    /// All instances of a container, newest first.
    pub(crate) fn instances<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ContainerStatus> + 'a {
        self.containers.iter().filter(move |c| c.name == name)
    }

    /// The newest instance.
    pub(crate) fn latest(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The newest ended instance before the newest one.
    pub(crate) fn previous(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().filter(|c| c.name == name).skip(1).find(|c| c.state == ContainerState::Exited)
    }

    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.instances(name).any(is_alive)
    }
}

/// Whether a process may be there. A container the runtime lost track of counts, so that it is stopped before another is started.
pub(crate) fn is_alive(c: &ContainerStatus) -> bool {
    matches!(c.state, ContainerState::Running | ContainerState::Unknown)
}

/// Something under way for a pod; two operations with one key never run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Busy {
    /// Volumes are being mounted or unmounted.
    Volumes,
    /// A sandbox is being made, stopped or removed.
    Sandbox,
    /// A container of this name is being started.
    Start(String),
    /// A container is being stopped.
    Stop(ContainerId),
    /// A container is being removed.
    Remove(ContainerId),
    /// The pod is being deleted from the API.
    Delete,
}

/// Whether the pod's volumes are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Volumes {
    #[default]
    Unknown,
    Mounted,
    Unmounted,
}

/// Why a container that should run does not, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// `ErrImagePull`, `CreateContainerConfigError`, ...
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// When to try again.
    pub(crate) until: Timestamp,
    /// What it is called once the first moment has passed (`ImagePullBackOff`), with its message and from when.
    pub(crate) later: Option<(Timestamp, &'static str, String)>,
}

impl Problem {
    /// Reason and message at `now`.
    pub(crate) fn shown(&self, now: Timestamp) -> (&'static str, &str) {
        match &self.later {
            Some((from, reason, message)) if now >= *from => (reason, message),
            _ => (self.reason, &self.message),
        }
    }
}

/// What the probes of a running container found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// The start-up probe has succeeded (or there is none) and the postStart hook is done.
    pub(crate) started: bool,
    /// The readiness probe succeeds (or there is none).
    pub(crate) ready: bool,
    /// The liveness or start-up probe failed: why the container must be restarted, with the grace period for that.
    pub(crate) restart: Option<(String, Option<i64>)>,
}

/// What a worker remembers between two looks at the runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) busy: BTreeSet<Busy>,
    pub(crate) volumes: Volumes,
    /// Crash back-off per container.
    pub(crate) crashes: BTreeMap<String, Backoff>,
    /// Start problems per container.
    pub(crate) problems: BTreeMap<String, Problem>,
    /// Image back-off per container.
    pub(crate) images: BTreeMap<String, Backoff>,
    pub(crate) health: BTreeMap<ContainerId, Health>,
    /// Until when each container that is being stopped may run.
    pub(crate) stopping: BTreeMap<ContainerId, Timestamp>,
    /// Restart counts that the API server knows, for containers that the runtime has forgotten.
    pub(crate) restarts: BTreeMap<String, u32>,
    /// No mount before this time.
    pub(crate) mount_retry: Option<Timestamp>,
    /// Back-off of sandboxes that had to be made again.
    pub(crate) sandboxes: Option<Backoff>,
    /// No sandbox before this time.
    pub(crate) sandbox_retry: Option<Timestamp>,
    /// Why the node ends this pod for good: reason and message.
    pub(crate) ended: Option<(&'static str, String)>,
    /// Addresses of the last ready sandbox, kept while the pod stops.
    pub(crate) addresses: Vec<std::net::IpAddr>,
}

impl Memory {
    pub(crate) fn starting(&self, name: &str) -> bool {
        self.busy.contains(&Busy::Start(name.to_owned()))
    }

    pub(crate) fn touching(&self, c: &ContainerStatus) -> bool {
        self.starting(&c.name)
            || self.busy.contains(&Busy::Stop(c.id.clone()))
            || self.busy.contains(&Busy::Remove(c.id.clone()))
    }

    /// Whether the pod's sandbox, containers or volumes are being changed.
    pub(crate) fn any_container_op(&self) -> bool {
        self.busy.iter().any(|b| matches!(b, Busy::Start(_) | Busy::Stop(_) | Busy::Remove(_)))
    }

    pub(crate) fn is_started(&self, id: &ContainerId) -> bool {
        self.health.get(id).is_some_and(|h| h.started)
    }

    pub(crate) fn sandbox_busy(&self) -> bool {
        self.busy.contains(&Busy::Sandbox)
    }

    /// Number of the next attempt for a container.
    pub(crate) fn next_attempt(&self, observed: &Observed, name: &str) -> u32 {
        let seen = observed.latest(name).map(|c| c.attempt + 1);
        let told = self.restarts.get(name).map(|n| n + 1);
        seen.max(told).unwrap_or(0)
    }
}
