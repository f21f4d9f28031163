//! What to delete next, and what the namespace's conditions say about it.

use super::{Content, Item, View};
use crate::runner::{Action, Delete, Plan, Target};
use crate::{Error, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PropagationPolicy;
use std::collections::BTreeMap;
use std::time::Duration;

/// What this controller holds a namespace by.
pub(super) const FINALIZER: &str = "kubernetes";
/// When to look again after deletions that should be done at once.
const SOON: Duration = Duration::from_millis(20);
/// When to look again at objects that others have to finish.
const LATER: Duration = Duration::from_secs(2);

/// The next deletions: pods first, as others may need what they use; then all the rest; then the namespace.
pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let pods: Vec<&Content> = view.contents.iter().filter(|content| content.is_pods()).collect();
    let next: Vec<&Content> = if pods.is_empty() { view.contents.iter().collect() } else { pods };
    if next.is_empty() && view.list_failures.is_empty() && view.discovery_failures.is_empty() {
        return finalize(&view.namespace, now);
    }
    let fresh = next.iter().any(|content| content.items.iter().any(|item| !item.deleting));
    let plan =
        Plan::of(vec![Action::Together(next.iter().flat_map(|content| deletions(view, content)).collect())]);
    plan.again_after(if fresh { SOON } else { LATER })
}

/// One deletion for the collection, or one for each object where the resource offers no better.
fn deletions(view: &View, content: &Content) -> Vec<Action> {
    let alive: Vec<&Item> = content.items.iter().filter(|item| !item.deleting).collect();
    if alive.is_empty() {
        return Vec::new();
    }
    let namespace = view.namespace.metadata.name.clone().unwrap_or_default();
    let resource = &content.resource.resource;
    if content.resource.supports(&["deletecollection"]) {
        let key = crate::runner::Key::new(namespace, "");
        return vec![Action::DeleteCollection(Box::new(Target::new(resource.clone(), key, "")))];
    }
    let delete = |item: &&Item| {
        let target = Target::new(resource.clone(), item.key.clone(), item.uid.clone());
        Action::from(Delete { propagation: Some(PropagationPolicy::Background), ..Delete::of(target) })
    };
    alive.iter().map(delete).collect()
}

fn finalize(namespace: &Namespace, now: Timestamp) -> Plan {
    let mut left = namespace.clone();
    let spec = left.spec.get_or_insert_default();
    spec.finalizers =
        spec.finalizers.take().map(|names| names.into_iter().filter(|n| n != FINALIZER).collect());
    let others = spec.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    let mut actions = vec![Action::Finalize(left.into())];
    if others && let Some(status) = status(namespace, Vec::new(), now) {
        // Somebody else keeps the namespace: say that nothing is left to do here. This comes first, as finalizing
        // changes the resourceVersion.
        actions.insert(0, status);
        actions.truncate(1);
    }
    Plan::of(actions)
}

/// The conditions, once a deletion has been tried.
pub(super) fn report(view: &View, outcome: &Result<()>, now: Timestamp) -> Plan {
    let deletion_began = view.contents.iter().any(|content| content.items.iter().any(|item| item.deleting));
    let failed = outcome.is_err() || !view.list_failures.is_empty() || !view.discovery_failures.is_empty();
    if !deletion_began && !failed {
        return Plan::nothing();
    }
    let mut found = Vec::new();
    found.extend(discovery_failure(view));
    found.extend(content_failure(view, outcome));
    found.extend(remaining(view));
    found.extend(held(view));
    let retry = Plan::of(status(&view.namespace, found, now).into_iter().collect());
    if failed { retry.again_after(LATER) } else { retry }
}

/// A condition that is true: type, reason, message.
type Found = (&'static str, &'static str, String);

fn discovery_failure(view: &View) -> Option<Found> {
    let failures = &view.discovery_failures;
    let list = failures.join(", ");
    let message = format!(
        "Discovery failed for some groups, {} failing: unable to retrieve the complete list of server APIs: {list}",
        failures.len()
    );
    (!failures.is_empty()).then_some((DISCOVERY, "DiscoveryFailed", message))
}

fn content_failure(view: &View, outcome: &Result<()>) -> Option<Found> {
    let mut failures = view.list_failures.clone();
    if let Err(error) = outcome
        && !matches!(error, Error::Conflict(_))
    {
        failures.push(error.to_string());
    }
    failures.sort();
    let count = failures.len();
    let message = format!("Failed to delete all resource types, {count} remaining: {}", failures.join(", "));
    (count > 0).then_some((CONTENT, "ContentDeletionFailed", message))
}

fn remaining(view: &View) -> Option<Found> {
    let count = |content: &Content| {
        format!("{} has {} resource instances", content.resource.group_resource(), content.items.len())
    };
    let mut counts: Vec<String> = view.contents.iter().map(count).collect();
    counts.sort();
    let message = format!("Some resources are remaining: {}", counts.join(", "));
    (!counts.is_empty()).then_some((REMAINING, "SomeResourcesRemain", message))
}

fn held(view: &View) -> Option<Found> {
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for item in view.contents.iter().flat_map(|content| &content.items).filter(|item| item.is_stuck()) {
        item.finalizers.iter().for_each(|name| *held.entry(name).or_default() += 1);
    }
    let counts: Vec<String> =
        held.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    let message = format!("Some content in the namespace has finalizers remaining: {}", counts.join(", "));
    (!counts.is_empty()).then_some((FINALIZERS, "SomeFinalizersRemain", message))
}

const DISCOVERY: &str = "NamespaceDeletionDiscoveryFailure";
const CONTENT: &str = "NamespaceDeletionContentFailure";
const REMAINING: &str = "NamespaceContentRemaining";
const FINALIZERS: &str = "NamespaceFinalizersRemaining";

/// What each condition says when all is well.
const WELL: [(&str, &str, &str); 5] = [
    (DISCOVERY, "ResourcesDiscovered", "All resources successfully discovered"),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (CONTENT, "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    (REMAINING, "ContentRemoved", "All content successfully removed"),
    (FINALIZERS, "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// The status update, if the conditions say anything new.
fn status(namespace: &Namespace, found: Vec<Found>, now: Timestamp) -> Option<Action> {
    let old = namespace.status.clone().unwrap_or_default();
    let known = old.conditions.clone().unwrap_or_default();
    let condition = |(type_, well, message): &(&str, &str, &str)| {
        let trouble = found.iter().find(|(found, ..)| found == type_);
        let (status, reason, message) = match trouble {
            Some((_, reason, message)) => ("True", *reason, message.as_str()),
            None => ("False", *well, *message),
        };
        let before = known.iter().find(|known| known.type_ == *type_ && known.status == status);
        NamespaceCondition {
            type_: (*type_).into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_transition_time: before
                .and_then(|known| known.last_transition_time.clone())
                .or(Some(Time(now))),
        }
    };
    let ours = |known: &NamespaceCondition| WELL.iter().any(|(type_, ..)| *type_ == known.type_);
    let others = known.iter().filter(|known| !ours(known)).cloned();
    let conditions: Vec<_> = others.chain(WELL.iter().map(condition)).collect();
    let status = NamespaceStatus { conditions: Some(conditions), phase: Some("Terminating".into()) };
    let updated = Namespace { status: Some(status), ..namespace.clone() };
    (updated.status.as_ref() != Some(&old)).then(|| Action::UpdateStatus(updated.into()))
}
