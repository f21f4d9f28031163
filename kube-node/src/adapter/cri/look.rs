//! Looking at what there is, and what that says about a failure.

use std::time::Duration;

use cri_client::{Client, v1};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::error::about;
use super::{CriRuntime, container, sandbox};
use crate::seam::{
    ContainerFilter, ContainerId, ContainerReason, ContainerState, ContainerStatus, Runtime, RuntimeInfo,
    SandboxFilter, SandboxId, SandboxState, SandboxStatus,
};
use crate::{Error, Result};

/// Status calls under way at a time for one listing: a listing names the members, and each is asked about by itself.
const CONCURRENT: usize = 8;

/// Nanoseconds since 1970; 0 and less mean that it did not happen.
pub(super) fn time(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0).then(|| Timestamp::from_nanosecond(nanoseconds.into()).ok()).flatten()
}

/// Whole seconds, rounded up: 0 would mean "at once" or "without limit".
pub(super) fn seconds(duration: Duration) -> i64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    i64::try_from(duration.as_secs().saturating_add(up)).unwrap_or(i64::MAX)
}

/// Fits commands, sessions and logs.
pub(super) fn running(status: &ContainerStatus) -> bool {
    status.state == ContainerState::Running
}

/// Fits starting.
pub(super) fn startable(status: &ContainerStatus) -> bool {
    // A command that could not be executed has left the container exited, but that is this very failure.
    status.state == ContainerState::Created || status.reason == ContainerReason::StartError
}

/// Readiness from the conditions the specification requires; the first one that is false says why.
pub(super) fn info(version: v1::VersionResponse, conditions: Vec<v1::RuntimeCondition>) -> RuntimeInfo {
    let holds = |kind: &str| conditions.iter().any(|condition| condition.r#type == kind && condition.status);
    let (ready, network_ready) = (holds("RuntimeReady"), holds("NetworkReady"));
    let wrong = conditions.into_iter().find(|condition| !condition.status).unwrap_or_default();
    RuntimeInfo {
        name: version.runtime_name,
        version: version.runtime_version,
        ready,
        network_ready,
        reason: wrong.reason,
        message: wrong.message,
    }
}

/// The sandboxes with these ids, without those that are gone by now.
pub(super) async fn sandboxes(client: &Client, ids: Vec<String>) -> Result<Vec<SandboxStatus>> {
    let ask = |id: String| {
        let client = client.clone();
        async move {
            let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: false };
            match client.pod_sandbox_status(request).await {
                Ok(answer) => Ok(answer.status.map(sandbox::status)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(about("sandbox", &id)(error)),
            }
        }
    };
    let answers = stream::iter(ids.into_iter().map(ask)).buffer_unordered(CONCURRENT);
    answers.try_filter_map(|status| async move { Ok(status) }).try_collect().await
}

/// The containers with these ids and sandboxes, without those that are gone by now.
pub(super) async fn containers(
    client: &Client,
    ids: Vec<(String, SandboxId)>,
) -> Result<Vec<ContainerStatus>> {
    let ask = |(id, sandbox): (String, SandboxId)| {
        let client = client.clone();
        async move {
            let request = v1::ContainerStatusRequest { container_id: id.clone(), verbose: false };
            match client.container_status(request).await {
                Ok(answer) => Ok(answer.status.map(|status| container::status(sandbox, status))),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(about("container", &id)(error)),
            }
        }
    };
    let answers = stream::iter(ids.into_iter().map(ask)).buffer_unordered(CONCURRENT);
    answers.try_filter_map(|status| async move { Ok(status) }).try_collect().await
}

/// Runtimes answer most refusals with an unclassified error, so what a failure means is found by looking at the object.
fn unclear(error: &Error) -> bool {
    matches!(error, Error::Failed(_) | Error::Invalid(_))
}

impl CriRuntime {
    /// What `error` means when the container may not have been in a state that `fits`.
    pub(super) async fn refine(
        &self,
        id: &ContainerId,
        error: Error,
        fits: fn(&ContainerStatus) -> bool,
    ) -> Error {
        if !unclear(&error) {
            return error;
        }
        match self.containers(&ContainerFilter::by_id(id.clone())).await.as_deref() {
            Ok([]) => Error::not_found("container", &id.0),
            Ok([status, ..]) if !fits(status) => {
                Error::Conflict(format!("container {id} is in state {:?}: {error}", status.state))
            }
            _ => error,
        }
    }

    /// What `error` means when a container `name` could not be made in a sandbox.
    pub(super) async fn refine_create(
        &self,
        sandbox: &SandboxId,
        (name, attempt): (&str, u32),
        error: Error,
    ) -> Error {
        // Also of a stopped sandbox containerd says that something is not found: its process.
        if !unclear(&error) && !error.is_not_found() {
            return error;
        }
        let filter = SandboxFilter { id: Some(sandbox.clone()), ..SandboxFilter::default() };
        match self.sandboxes(&filter).await.as_deref() {
            Ok([]) => return Error::not_found("sandbox", &sandbox.0),
            Ok([status, ..]) if status.state == SandboxState::NotReady => {
                return Error::Conflict(format!("sandbox {sandbox} is not ready: {error}"));
            }
            _ => {}
        }
        let filter = ContainerFilter { sandbox: Some(sandbox.clone()), ..ContainerFilter::default() };
        let there = self.containers(&filter).await.unwrap_or_default();
        match there.iter().any(|other| other.name == name && other.attempt == attempt) {
            true => Error::Conflict(error.to_string()),
            false => error,
        }
    }
}
