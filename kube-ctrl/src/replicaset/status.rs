//! What the status of a ReplicaSet says.

use super::{View, plan};
use crate::runner::{Action, Plan};
use crate::{Error, Result, pods};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::sync::Arc;
use std::time::Duration;

/// The pods that count as replicas.
pub(super) fn active(view: &View) -> Vec<Arc<Pod>> {
    let mut members = view.claim.members();
    members.retain(|pod| pods::is_active(pod));
    members
}

/// The status update that is due, and when to look again for pods that become available with time.
pub(super) fn report(view: &View, outcome: &Result<()>, now: Timestamp) -> Plan {
    let set = view.set.as_ref();
    let Some(spec) = &set.spec else { return Plan::nothing() };
    let active = active(view);
    let status = status(view, spec, &active, outcome, now);
    let mut report = Plan::nothing();
    if set.status.as_ref() != Some(&status) {
        let updated = ReplicaSet { status: Some(status), ..set.clone() };
        report.actions.push(Action::UpdateStatus(updated.into()));
    }
    match plan::next_available(&active, spec.min_ready_seconds.unwrap_or(0), now) {
        Some(at) => {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            report.again_after(wait.max(Duration::from_millis(1)))
        }
        None => report,
    }
}

fn status(
    view: &View,
    spec: &ReplicaSetSpec,
    active: &[Arc<Pod>],
    outcome: &Result<()>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let count = |fits: &dyn Fn(&Pod) -> bool| {
        i32::try_from(active.iter().filter(|pod| fits(pod)).count()).unwrap_or(i32::MAX)
    };
    let template = spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.clone());
    let labelled = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref();
        template
            .iter()
            .flatten()
            .all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
    };
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    let terminating = view.claim.members().iter().filter(|pod| pods::is_terminating(pod)).count();
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: some(count(&labelled)),
        ready_replicas: some(count(&pods::is_ready)),
        available_replicas: some(count(&|pod| pods::is_available(pod, min_ready, now))),
        observed_generation: view.set.metadata.generation,
        terminating_replicas: Some(i32::try_from(terminating).unwrap_or(i32::MAX)),
        conditions: conditions(view, spec, active.len(), outcome, now),
    }
}

fn conditions(
    view: &View,
    spec: &ReplicaSetSpec,
    active: usize,
    outcome: &Result<()>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let known = view.set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let failing = known.iter().find(|condition| condition.type_ == "ReplicaFailure").cloned();
    let mut conditions: Vec<_> =
        known.into_iter().filter(|condition| condition.type_ != "ReplicaFailure").collect();
    match outcome {
        Err(Error::Conflict(_)) | Ok(()) => {}
        Err(error) => conditions.push(failing.unwrap_or_else(|| {
            let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
            ReplicaSetCondition {
                type_: "ReplicaFailure".into(),
                status: "True".into(),
                reason: Some(if active < wanted { "FailedCreate" } else { "FailedDelete" }.into()),
                message: Some(error.to_string()),
                last_transition_time: Some(Time(now)),
            }
        })),
    }
    Some(conditions).filter(|conditions| !conditions.is_empty())
}
