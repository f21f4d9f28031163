//! What to do for one deployment.

use super::conditions::{self, PROGRESSING, TIMED_OUT};
use super::sets::{self, Sets};
use super::strategy::{is_rolling, progress_deadline};
use super::{View, history, rollout, scale, status, template};
use crate::runner::{Action, Delete, Note, Patch, Plan, Severity, Target, controller_reference, reference};
use crate::{Error, Result};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetSpec,
};
use kube::api::ObjectMeta;
use serde_json::json;

/// The next steps. Each plan does what can be decided from what is there; the changes it makes bring the next one.
pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let deployment = view.deployment.as_ref();
    let Some(spec) = &deployment.spec else { return Plan::nothing() };
    if selects_everything(spec) {
        return Plan::of(vec![selecting_all(deployment)]);
    }
    let mut sets = Sets::of(view, spec);
    let mut actions = view.claim.actions(deployment);
    if deployment.metadata.deletion_timestamp.is_some() {
        let status = status::counts(&sets, now);
        return finish(deployment, actions, status, now);
    }
    if let Some(status) = pause_status(deployment, spec, now) {
        actions.push(update_status(deployment, status));
        return Plan::of(actions);
    }
    let paused = spec.paused == Some(true);
    if let Some(first) = first_steps(view, &mut sets, now) {
        actions.extend(first);
        return Plan::of(actions);
    }
    if paused || scale::is_due(&sets) {
        scale::scale(&mut sets);
        actions.extend(sets.writes());
        if paused {
            actions.extend(cleanup(&sets));
        }
        let status = status::counts(&sets, now);
        return finish(deployment, actions, status, now);
    }
    roll(view, &mut sets, actions, now)
}

fn roll(view: &View, sets: &mut Sets<'_>, mut actions: Vec<Action>, now: Timestamp) -> Plan {
    let deployment = sets.deployment;
    let moved = if is_rolling(sets.spec) {
        rollout::grow_newest(sets) || rollout::shrink_old(sets)
    } else {
        rollout::stop_old(sets)
    };
    if !moved && !is_rolling(sets.spec) && !old_pods_run(view, sets) {
        if sets.newest().is_none() {
            actions.extend(create_newest(view, sets, now));
            return Plan::of(actions);
        }
        rollout::grow_newest(sets);
    }
    actions.extend(sets.writes());
    if !moved && deployment.status.as_ref().is_some_and(|status| status::is_complete(deployment, status)) {
        actions.extend(cleanup(sets));
    }
    let status = status::rollout(sets, now);
    finish(deployment, actions, status, now)
}

/// What must be right before anything is scaled: the newest set exists, carries its revision, and the deployment
/// carries the same.
fn first_steps(view: &View, sets: &mut Sets<'_>, now: Timestamp) -> Option<Vec<Action>> {
    let (deployment, spec) = (sets.deployment, sets.spec);
    let paused = spec.paused == Some(true);
    let Some(newest) = sets.newest() else {
        // A paused deployment, one being scaled, or one that stops its old pods first gets its set later.
        let later = paused || !is_rolling(spec) || scale::is_due(sets);
        return (!later).then(|| create_newest(view, sets, now));
    };
    let (name, revision) = (newest.metadata.name.clone().unwrap_or_default(), sets.next_revision());
    sets.change(&name, |set| {
        history::note_revision(set, deployment, revision);
        if let Some(set_spec) = &mut set.spec
            && set_spec.min_ready_seconds.unwrap_or(0) != spec.min_ready_seconds.unwrap_or(0)
        {
            set_spec.min_ready_seconds = spec.min_ready_seconds;
        }
    });
    let mut actions = sets.writes();
    let revision = sets.newest().map(history::revision).unwrap_or_default().to_string();
    actions.extend(note_revision(deployment, &revision));
    let unknown =
        deployment.status.as_ref().is_none_or(|status| conditions::get(status, PROGRESSING).is_none());
    if unknown && progress_deadline(deployment).is_some() {
        let message = format!("Found new replica set {name:?}");
        let found = conditions::new(PROGRESSING, "True", "FoundNewReplicaSet", message, now);
        actions.push(patch_condition(deployment, found, None));
    }
    (!actions.is_empty()).then_some(actions)
}

fn create_newest(view: &View, sets: &Sets<'_>, now: Timestamp) -> Vec<Action> {
    let deployment = sets.deployment;
    let (set, size) = new_set(sets);
    let name = set.metadata.name.clone().unwrap_or_default();
    let revision = history::revision(&set).to_string();
    // Somebody made it already, but the set is not ours or differs: creating it fails and the report counts up.
    let mut actions = vec![Action::Create(set.into(), None)];
    if size > 0 {
        actions.push(sets::scaled(deployment, &name, 0, size));
    }
    actions.extend(note_revision(deployment, &revision));
    if progress_deadline(deployment).is_some() {
        let message = format!("Created new replica set {name:?}");
        let created = conditions::new(PROGRESSING, "True", "NewReplicaSetCreated", message, now);
        actions.push(patch_condition(&view.deployment, created, None));
    }
    actions
}

fn new_set(sets: &Sets<'_>) -> (ReplicaSet, i32) {
    let (deployment, spec) = (sets.deployment, sets.spec);
    let hash = template::current_hash(deployment);
    let template = template::labelled(&spec.template, &hash);
    let size = rollout::allowed(sets, 0);
    let metadata = ObjectMeta {
        name: Some(template::set_name(deployment)),
        namespace: deployment.metadata.namespace.clone(),
        labels: template.metadata.as_ref().and_then(|meta| meta.labels.clone()),
        owner_references: Some(vec![controller_reference(deployment)]),
        ..ObjectMeta::default()
    };
    let set_spec = ReplicaSetSpec {
        replicas: Some(size),
        min_ready_seconds: spec.min_ready_seconds,
        selector: template::labelled_selector(&spec.selector, &hash),
        template: Some(template),
    };
    let mut set = ReplicaSet { metadata, spec: Some(set_spec), status: None };
    history::note_revision(&mut set, deployment, sets.next_revision());
    history::note_size(&mut set, sets.bounds);
    (set, size)
}

/// Whether anything of an old template still runs.
fn old_pods_run(view: &View, sets: &Sets<'_>) -> bool {
    let newest = sets.newest().and_then(|set| set.metadata.uid.clone());
    sets.old().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0))
        || view.busy.iter().any(|uid| Some(uid) != newest.as_ref())
}

/// Deletes the oldest empty sets beyond the history limit.
fn cleanup(sets: &Sets<'_>) -> Vec<Action> {
    let Some(limit) = sets.spec.revision_history_limit.filter(|limit| *limit != i32::MAX) else {
        return Vec::new();
    };
    let mut old: Vec<&ReplicaSet> =
        sets.old().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    old.sort_by_key(|set| history::revision(set));
    let is_empty = |set: &&&ReplicaSet| {
        let status = set.status.clone().unwrap_or_default();
        let observed = status.observed_generation.unwrap_or(0) >= set.metadata.generation.unwrap_or(0);
        status.replicas == 0 && sets::size(set) == 0 && observed
    };
    let doomed = old.iter().take(surplus).filter(is_empty);
    doomed.map(|set| Action::from(Delete::of(Target::of(*set)))).collect()
}

fn finish(
    deployment: &Deployment,
    mut actions: Vec<Action>,
    status: DeploymentStatus,
    now: Timestamp,
) -> Plan {
    let check = status::next_check(deployment, &status, now);
    if deployment.status.as_ref() != Some(&status) {
        actions.push(update_status(deployment, status));
    }
    let plan = Plan::of(actions);
    match check {
        Some(delay) => plan.again_after(delay),
        None => plan,
    }
}

fn update_status(deployment: &Deployment, status: DeploymentStatus) -> Action {
    Action::UpdateStatus(Deployment { status: Some(status), ..deployment.clone() }.into())
}

/// The status that says that a deployment is paused or resumed, if it does not say so yet.
fn pause_status(deployment: &Deployment, spec: &DeploymentSpec, now: Timestamp) -> Option<DeploymentStatus> {
    progress_deadline(deployment)?;
    let mut status = deployment.status.clone().unwrap_or_default();
    let reason = conditions::get(&status, PROGRESSING).and_then(|known| known.reason.clone());
    if reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    let (reason, message) = match (spec.paused == Some(true), reason.as_deref() == Some("DeploymentPaused")) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return None,
    };
    conditions::set(&mut status, conditions::new(PROGRESSING, "Unknown", reason, message.into(), now));
    Some(status)
}

/// Copies the newest set's revision to the deployment.
fn note_revision(deployment: &Deployment, revision: &str) -> Option<Action> {
    let known =
        deployment.metadata.annotations.as_ref().and_then(|annotations| annotations.get(history::REVISION));
    let body = json!({"metadata": {"annotations": {history::REVISION: revision}}});
    let patch = Patch { target: Target::of(deployment), subresource: None, body };
    (known.map(String::as_str) != Some(revision)).then_some(patch.into())
}

/// A patch, as the deployment has just been changed by the same plan and its resourceVersion is not known.
fn patch_condition(
    deployment: &Deployment,
    condition: DeploymentCondition,
    collisions: Option<i32>,
) -> Action {
    let mut status = deployment.status.clone().unwrap_or_default();
    conditions::set(&mut status, condition);
    let mut body = json!({"status": {"conditions": status.conditions}});
    if let Some(collisions) = collisions {
        body["status"]["collisionCount"] = collisions.into();
    }
    Action::from(Patch { target: Target::of(deployment), subresource: Some("status"), body })
}

fn selects_everything(spec: &DeploymentSpec) -> bool {
    spec.selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
        && spec.selector.match_expressions.as_ref().is_none_or(|expressions| expressions.is_empty())
}

fn selecting_all(deployment: &Deployment) -> Action {
    Action::from(Note {
        about: reference(deployment),
        severity: Severity::Warning,
        reason: "SelectingAll",
        message: "This deployment is selecting all pods. A non-empty selector is required.".into(),
    })
}

/// What to tell when the newest set could not be created.
pub(super) fn report(view: &View, outcome: &Result<()>, now: Timestamp) -> Plan {
    let deployment = view.deployment.as_ref();
    match outcome {
        Ok(()) | Err(Error::Conflict(_) | Error::Terminating(_) | Error::NotFound(_)) => Plan::nothing(),
        Err(Error::AlreadyExists(_)) => collision(view),
        Err(error) => {
            let name = template::set_name(deployment);
            let message = format!("Failed to create new replica set {name:?}: {error}");
            let exists = view.claim.members().iter().any(|set| set.metadata.name.as_deref() == Some(&name));
            if exists {
                return Plan::nothing();
            }
            let note = Note {
                about: reference(deployment),
                severity: Severity::Warning,
                reason: "ReplicaSetCreateError",
                message: message.clone(),
            };
            let failed = conditions::new(PROGRESSING, "False", "ReplicaSetCreateError", message, now);
            let patch = progress_deadline(deployment).map(|_| patch_condition(deployment, failed, None));
            Plan::of(patch.into_iter().chain([note.into()]).collect())
        }
    }
}

/// Another set has the name the newest one should get: the next hash takes one more collision into account.
fn collision(view: &View) -> Plan {
    let (deployment, Some(namesake)) = (view.deployment.as_ref(), &view.namesake) else {
        return Plan::nothing();
    };
    let ours = view.claim.members().iter().any(|set| set.metadata.uid == namesake.metadata.uid);
    let same = deployment.spec.as_ref().is_some_and(|spec| template::is_made_from(namesake, &spec.template));
    if ours && same {
        return Plan::nothing();
    }
    let count = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let body = json!({"status": {"collisionCount": count + 1}});
    Plan::of(vec![Action::from(Patch { target: Target::of(deployment), subresource: Some("status"), body })])
}
