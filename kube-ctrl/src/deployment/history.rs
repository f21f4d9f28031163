//! Revisions: the annotations on a deployment and its sets.

use super::strategy::Bounds;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use std::collections::BTreeMap;

/// The revision of a deployment or of a set.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";
const NOT_COPIED: [&str; 6] = [LAST_APPLIED, REVISION, HISTORY, DESIRED, MAXIMUM, ROLLBACK_TO];
/// The revision history of a set is at most this long, in bytes.
const MAX_HISTORY: usize = 2000;

/// The revision of a set, 0 if it has none.
pub(super) fn revision(set: &ReplicaSet) -> i64 {
    annotation(set, REVISION).unwrap_or(0)
}

fn annotation(set: &ReplicaSet, name: &str) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(name)?.parse().ok()
}

/// How many replicas the deployment wanted when it last scaled this set.
pub(super) fn desired(set: &ReplicaSet) -> Option<i64> {
    annotation(set, DESIRED).filter(|desired| *desired >= 0)
}

/// The most replicas the deployment could have when it last scaled this set.
pub(super) fn maximum(set: &ReplicaSet) -> Option<i64> {
    annotation(set, MAXIMUM).filter(|maximum| *maximum >= 0)
}

/// Notes the deployment's size on a set; whether that changed anything.
pub(super) fn note_size(set: &mut ReplicaSet, bounds: Bounds) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let sizes = [(DESIRED, bounds.replicas.to_string()), (MAXIMUM, bounds.max_total().to_string())];
    sizes.into_iter().fold(false, |changed, (name, size)| changed | put(annotations, name, &size))
}

fn put(annotations: &mut BTreeMap<String, String>, name: &str, value: &str) -> bool {
    annotations.insert(name.to_owned(), value.to_owned()).as_deref() != Some(value)
}

/// Brings the annotations of the newest set up to date with its deployment; whether that changed anything.
pub(super) fn note_revision(set: &mut ReplicaSet, deployment: &Deployment, newest: i64) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) {
            changed |= put(annotations, name, value);
        }
    }
    let old = annotations.get(REVISION).cloned();
    let before = match old.as_deref().map(str::parse::<i64>) {
        None => 0,
        Some(Ok(revision)) => revision,
        // Somebody has written nonsense into it; leave it alone.
        Some(Err(_)) => return false,
    };
    if before >= newest {
        return changed;
    }
    annotations.insert(REVISION.into(), newest.to_string());
    if let Some(old) = old {
        remember(annotations, &old);
    }
    true
}

/// A set rolled back to keeps the revisions it has served as.
fn remember(annotations: &mut BTreeMap<String, String>, old: &str) {
    let history = annotations.get(HISTORY).filter(|history| !history.is_empty());
    let mut revisions: Vec<&str> = history.map(|history| history.split(',').collect()).unwrap_or_default();
    revisions.push(old);
    let mut joined = revisions.join(",");
    while joined.len() > MAX_HISTORY {
        joined = joined.split_once(',').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    }
    annotations.insert(HISTORY.into(), joined);
}
