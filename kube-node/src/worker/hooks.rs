//! postStart and preStop.

use std::{sync::Arc, time::Duration};

use super::ops::Subject;
use crate::{Result, events::Level, pod::spec::PodContainer, probe::Target, seam::ContainerId};

/// A postStart hook has no time limit of its own; this one only ends what is stuck for good.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(super) fn target(subject: &Subject, id: &ContainerId, container: &PodContainer) -> Target {
    Target {
        runtime: subject.context.runtime.clone(),
        id: id.clone(),
        container: Arc::new(container.spec.clone()),
        ip: subject.ips().first().copied(),
    }
}

/// Runs the postStart hook, if there is one.
pub(super) async fn post_start(subject: &Subject, id: &ContainerId, container: &PodContainer) -> Result<()> {
    let Some(hook) = container.spec.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else {
        return Ok(());
    };
    let result = target(subject, id, container).handle(hook, LONGEST).await;
    if result.is_err() {
        let name = Some(container.name());
        subject.context.events.pod(
            &subject.pod,
            name,
            Level::Warning,
            "FailedPostStartHook",
            "PostStartHook failed".to_owned(),
        );
    }
    result
}

/// Runs the preStop hook, if there is one, for at most `grace`. A failure is told and does not stop the stopping.
pub(super) async fn pre_stop(subject: &Subject, id: &ContainerId, container: &PodContainer, grace: Duration) {
    let Some(hook) = container.spec.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()) else { return };
    if grace.is_zero() {
        return;
    }
    if target(subject, id, container).handle(hook, grace).await.is_err() {
        let name = Some(container.name());
        subject.context.events.pod(
            &subject.pod,
            name,
            Level::Warning,
            "FailedPreStopHook",
            "PreStopHook failed".to_owned(),
        );
    }
}
