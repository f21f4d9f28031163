//! Operations that a worker has under way, each its own task, and how they end.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::{Context, hooks, report, start};
use crate::{
    Error, Result,
    events::Level,
    pod::{
        config::sandbox_config,
        observed::Busy,
        plan::Action,
        spec::{PodContainer, pod_ref},
    },
    seam::{ContainerId, SandboxConfig, SandboxId, SandboxStatus},
    volumes::Mounted,
};

/// How an operation ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Mounted(Result<Mounted>),
    Unmounted(Result<()>),
    /// A sandbox was made, or not.
    Made(Result<()>),
    /// One was stopped or removed.
    Sandbox(Result<()>),
    Started(String, Result<(), start::StartError>),
    Stopped(ContainerId, Result<()>),
    Removed(ContainerId),
    Deleted(Result<()>),
    Reported(Result<Option<Box<Pod>>>),
}

/// What operations know of the pod at the time they begin.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) context: Arc<Context>,
    pub(super) pod: Arc<Pod>,
    pub(super) containers: Arc<Vec<PodContainer>>,
    pub(super) sandbox: Option<SandboxStatus>,
    pub(super) mounted: Arc<Mounted>,
    /// Ids of the running containers by name, for ephemeral containers' targets.
    pub(super) running: Arc<Vec<(String, ContainerId)>>,
}

impl Subject {
    pub(super) fn sandbox_config(&self, attempt: u32) -> SandboxConfig {
        let context = &self.context;
        let dns = crate::dns::pod_dns(&self.pod, &context.config, &context.host_dns);
        sandbox_config(&self.pod, attempt, context.log_dir(), dns, &context.config.cluster_domain)
    }

    pub(super) fn container(&self, name: &str) -> Option<&PodContainer> {
        self.containers.iter().find(|c| c.name() == name)
    }

    /// The pod's addresses: the sandbox's, or the node's for pods with the host's network.
    pub(super) fn ips(&self) -> Vec<std::net::IpAddr> {
        match crate::pod::spec::host_network(&self.pod) {
            true => self.context.facts.node_ips.clone(),
            false => self.sandbox.as_ref().map(|s| s.ips.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn warn(&self, reason: &'static str, message: String) {
        self.context.events.pod(&self.pod, None, Level::Warning, reason, message);
    }
}

/// The key under which an action is under way.
pub(super) fn key(action: &Action) -> Option<Busy> {
    Some(match action {
        Action::Mount | Action::Unmount => Busy::Volumes,
        Action::RunSandbox { .. } | Action::StopSandbox(_) | Action::RemoveSandbox(_) => Busy::Sandbox,
        Action::Start { name, .. } => Busy::Start(name.clone()),
        Action::Stop { id, .. } => Busy::Stop(id.clone()),
        Action::RemoveContainer(id) => Busy::Remove(id.clone()),
        Action::DeletePod => Busy::Delete,
        Action::Forget => return None,
    })
}

/// Carries an action out.
pub(super) async fn perform(subject: Subject, action: Action) -> Outcome {
    let runtime = subject.context.runtime.clone();
    match action {
        Action::Mount => Outcome::Mounted(mount(&subject).await),
        Action::Unmount | Action::Forget => {
            Outcome::Unmounted(subject.context.volumes.unmount(&pod_ref(&subject.pod).uid).await)
        }
        Action::RunSandbox { attempt } => Outcome::Made(run_sandbox(&subject, attempt).await),
        Action::StopSandbox(id) => Outcome::Sandbox(runtime.stop_sandbox(&id).await),
        Action::RemoveSandbox(id) => Outcome::Sandbox(remove_sandbox(&subject, &id).await),
        Action::Start { name, attempt } => {
            let result = start::start(&subject, &name, attempt).await;
            Outcome::Started(name, result)
        }
        Action::Stop { id, name, grace, message, hooks } => {
            let result = stop(&subject, &id, &name, grace, message, hooks).await;
            Outcome::Stopped(id, result)
        }
        Action::RemoveContainer(id) => {
            if let Err(error) = runtime.remove_container(&id).await {
                tracing::debug!(%id, %error, "cannot remove a container");
            }
            Outcome::Removed(id)
        }
        Action::DeletePod => Outcome::Deleted(report::delete(&subject).await),
    }
}

async fn mount(subject: &Subject) -> Result<Mounted> {
    let fields = subject.context.fields(subject.ips());
    let mounted = subject.context.volumes.mount(&subject.pod, fields).await;
    if let Err(error) = &mounted {
        subject.warn("FailedMount", error.to_string());
    }
    mounted
}

async fn run_sandbox(subject: &Subject, attempt: u32) -> Result<()> {
    let config = subject.sandbox_config(attempt);
    if attempt > 0 {
        let text = "Pod sandbox changed, it will be killed and re-created.".to_owned();
        subject.context.events.pod(&subject.pod, None, Level::Normal, "SandboxChanged", text);
    }
    let made = subject.context.runtime.run_sandbox(&config).await;
    if let Err(error) = &made {
        subject.warn("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {error}"));
    }
    made.map(|_| ())
}

/// Removes a sandbox that holds nothing of interest any more.
async fn remove_sandbox(subject: &Subject, id: &SandboxId) -> Result<()> {
    subject.context.runtime.remove_sandbox(id).await
}

async fn stop(
    subject: &Subject,
    id: &ContainerId,
    name: &str,
    grace: Duration,
    message: String,
    run_hooks: bool,
) -> Result<()> {
    let context = &subject.context;
    let began = tokio::time::Instant::now();
    let container = subject.container(name);
    if run_hooks {
        context.events.pod(&subject.pod, Some(name), Level::Normal, "Killing", message);
        if let Some(container) = container {
            hooks::pre_stop(subject, id, container, grace).await;
        }
    }
    // The process gets a moment even when the hook used up the time.
    let least = if grace.is_zero() { grace } else { Duration::from_secs(2).min(grace) };
    let left = grace.saturating_sub(began.elapsed()).max(least);
    let signal = container.and_then(|c| c.spec.lifecycle.as_ref()).and_then(|l| l.stop_signal.clone());
    match context.runtime.stop_container(id, left, signal.as_deref()).await {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

/// Sends a status.
pub(super) async fn send_status(subject: Subject, known: PodStatus, wanted: PodStatus) -> Outcome {
    Outcome::Reported(report::send(&subject, &known, &wanted).await.map(|pod| pod.map(Box::new)))
}
