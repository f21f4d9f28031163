//! Scaling a deployment itself, during a rollout or while paused: every set keeps its share.

use super::history;
use super::sets::{Sets, available, size};
use k8s_openapi::api::apps::v1::ReplicaSet;

fn name(set: &ReplicaSet) -> String {
    set.metadata.name.clone().unwrap_or_default()
}

/// Whether the deployment's size has changed since its sets were last scaled.
pub(super) fn is_due(sets: &Sets<'_>) -> bool {
    let wanted = i64::from(sets.bounds.replicas);
    sets.active().any(|set| history::desired(set).is_some_and(|desired| desired != wanted))
}

/// Plans the sizes.
pub(super) fn scale(sets: &mut Sets<'_>) {
    let wanted = sets.bounds.replicas;
    if let Some(set) = only_active_or_latest(sets) {
        let name = name(set);
        sets.scale(&name, wanted);
    } else if is_saturated(sets) {
        let old: Vec<String> = sets.old().filter(|set| size(set) > 0).map(name).collect();
        old.iter().for_each(|name| sets.scale(name, 0));
    } else if super::strategy::is_rolling(sets.spec) {
        for (name, size) in shares(sets) {
            sets.scale(&name, size);
        }
    }
}

/// The one set with pods; if none has any, the newest. None if several have.
fn only_active_or_latest<'a>(sets: &'a Sets<'_>) -> Option<&'a ReplicaSet> {
    let mut active = sets.active();
    match (active.next(), active.next()) {
        (None, _) => sets.newest().or_else(|| sets.old().next_back()),
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn is_saturated(sets: &Sets<'_>) -> bool {
    let wanted = sets.bounds.replicas;
    sets.newest().is_some_and(|set| {
        history::desired(set) == Some(wanted.into()) && size(set) == wanted && available(set) == wanted
    })
}

/// What each active set gets of the pods to add or remove, in proportion to its size; the largest gets what
/// rounding leaves over.
fn shares(sets: &Sets<'_>) -> Vec<(String, i32)> {
    let allowed = if sets.bounds.replicas > 0 { sets.bounds.max_total() } else { 0 };
    let mut active: Vec<&ReplicaSet> = sets.active().collect();
    let change = allowed - active.iter().map(|set| size(set)).sum::<i32>();
    if change > 0 {
        active.reverse();
    }
    // Among equals, newer sets grow first and older ones shrink first; the sort is stable.
    active.sort_by_key(|set| std::cmp::Reverse(size(set)));
    let mut given = 0;
    let mut shares: Vec<(String, i32)> = Vec::with_capacity(active.len());
    for set in active {
        let share = share(sets, set, change, given);
        given += share;
        shares.push((name(set), size(set) + share));
    }
    if let Some((_, largest)) = shares.first_mut() {
        *largest = (*largest + change - given).max(0);
    }
    shares
}

fn share(sets: &Sets<'_>, set: &ReplicaSet, change: i32, given: i32) -> i32 {
    let left = change - given;
    if left == 0 {
        return 0;
    }
    let fraction = fraction(sets, set);
    if change > 0 { fraction.min(left) } else { fraction.max(left) }
}

fn fraction(sets: &Sets<'_>, set: &ReplicaSet) -> i32 {
    if sets.bounds.replicas == 0 {
        return -size(set);
    }
    let reported = sets.deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
    let before = history::maximum(set).filter(|maximum| *maximum > 0).unwrap_or(i64::from(reported));
    if before == 0 {
        return 0;
    }
    // Half away from zero; all numbers are positive here.
    let scaled = (2 * i64::from(size(set)) * i64::from(sets.bounds.max_total()) + before) / (2 * before);
    i32::try_from(scaled).unwrap_or(i32::MAX) - size(set)
}
