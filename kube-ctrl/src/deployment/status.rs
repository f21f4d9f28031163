//! What the status of a deployment says.

use super::conditions::{self, AVAILABLE, NEW_SET_AVAILABLE, PROGRESSING, REPLICA_FAILURE, TIMED_OUT};
use super::sets::{Sets, available};
use super::strategy::progress_deadline;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetCondition,
};
use std::time::Duration;

/// The counts, and whether the deployment is available.
pub(super) fn counts(sets: &Sets<'_>, now: Timestamp) -> DeploymentStatus {
    let old = sets.deployment.status.clone().unwrap_or_default();
    let sum = |count: &dyn Fn(&ReplicaSet) -> i32| sets.all().map(count).sum::<i32>();
    let actual = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    let available = sum(&available);
    let mut status = DeploymentStatus {
        observed_generation: sets.deployment.metadata.generation,
        replicas: some(sum(&actual)),
        updated_replicas: some(sets.newest().map_or(0, actual)),
        ready_replicas: some(sum(&|set| {
            set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
        })),
        available_replicas: some(available),
        unavailable_replicas: some(sets.total() - available),
        terminating_replicas: terminating(sets),
        collision_count: old.collision_count,
        conditions: old.conditions,
    };
    let (state, reason, message) = if available >= sets.bounds.min_available() {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    conditions::set(&mut status, conditions::new(AVAILABLE, state, reason, message.into(), now));
    status
}

/// The terminating pods of all sets; unknown as long as one set does not know.
fn terminating(sets: &Sets<'_>) -> Option<i32> {
    sets.all().map(|set| set.status.as_ref()?.terminating_replicas).sum()
}

/// The counts and what they say about the rollout.
pub(super) fn rollout(sets: &Sets<'_>, now: Timestamp) -> DeploymentStatus {
    let mut status = counts(sets, now);
    match progress_deadline(sets.deployment) {
        None => conditions::remove(&mut status, PROGRESSING),
        Some(deadline) => progress(sets, &mut status, deadline, now),
    }
    match failure(sets) {
        Some(failure) => conditions::set(&mut status, failure),
        None => conditions::remove(&mut status, REPLICA_FAILURE),
    }
    status
}

fn progress(sets: &Sets<'_>, status: &mut DeploymentStatus, deadline: i32, now: Timestamp) {
    let current = conditions::get(status, PROGRESSING).cloned();
    let finished = current.as_ref().is_some_and(|known| known.reason.as_deref() == Some(NEW_SET_AVAILABLE));
    if finished && status.replicas == status.updated_replicas {
        return;
    }
    let what = match sets.newest() {
        Some(set) => format!("ReplicaSet {:?}", set.metadata.name.as_deref().unwrap_or_default()),
        None => format!("Deployment {:?}", sets.deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    let says = |state, reason, rest: &str| {
        conditions::new(PROGRESSING, state, reason, format!("{what} {rest}"), now)
    };
    if is_complete(sets.deployment, status) {
        conditions::set(status, says("True", NEW_SET_AVAILABLE, "has successfully progressed."));
    } else if has_progressed(sets.deployment.status.as_ref(), status) {
        let mut condition = says("True", "ReplicaSetUpdated", "is progressing.");
        // Progress is told by the update time, so the condition is replaced even if it says the same.
        if let Some(known) = current.filter(|known| known.status == "True") {
            condition.last_transition_time = known.last_transition_time;
        }
        conditions::remove(status, PROGRESSING);
        conditions::set(status, condition);
    } else if has_timed_out(current.as_ref(), deadline, now) {
        conditions::set(status, says("False", TIMED_OUT, "has timed out progressing."));
    }
}

/// Whether the rollout described by a status is over.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let counts = [status.replicas, status.updated_replicas, status.available_replicas];
    counts.iter().all(|count| count.unwrap_or(0) == wanted)
        && status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

fn has_progressed(old: Option<&DeploymentStatus>, new: &DeploymentStatus) -> bool {
    let none = DeploymentStatus::default();
    let old = old.unwrap_or(&none);
    let outdated = |s: &DeploymentStatus| s.replicas.unwrap_or(0) - s.updated_replicas.unwrap_or(0);
    let more = |a: Option<i32>, b: Option<i32>| a.unwrap_or(0) > b.unwrap_or(0);
    more(new.updated_replicas, old.updated_replicas)
        || outdated(new) < outdated(old)
        || more(new.ready_replicas, old.ready_replicas)
        || more(new.available_replicas, old.available_replicas)
}

fn has_timed_out(current: Option<&DeploymentCondition>, deadline: i32, now: Timestamp) -> bool {
    let Some(current) = current else { return false };
    match current.reason.as_deref() {
        Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        _ => deadline_of(current, deadline).is_some_and(|at| at < now),
    }
}

fn deadline_of(current: &DeploymentCondition, deadline: i32) -> Option<Timestamp> {
    current.last_update_time.as_ref()?.0.checked_add(SignedDuration::from_secs(deadline.into())).ok()
}

/// When to look at a rollout that shows no progress again.
pub(super) fn next_check(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let deadline = progress_deadline(deployment)?;
    let current = conditions::get(status, PROGRESSING)?;
    if is_complete(deployment, status) || current.reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    let left = deadline_of(current, deadline)?.duration_since(now);
    // A second more, so that the deadline has surely passed when the time comes.
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1))
}

/// The failure of the newest set, or of any other.
fn failure(sets: &Sets<'_>) -> Option<DeploymentCondition> {
    let of = |set: &ReplicaSet| -> Option<ReplicaSetCondition> {
        let mut known = set.status.as_ref()?.conditions.iter().flatten();
        known.find(|condition| condition.type_ == REPLICA_FAILURE).cloned()
    };
    let found = sets.newest().and_then(of).or_else(|| sets.all().find_map(of))?;
    Some(DeploymentCondition {
        type_: found.type_,
        status: found.status,
        reason: found.reason,
        message: found.message,
        last_update_time: found.last_transition_time.clone(),
        last_transition_time: found.last_transition_time,
    })
}
