//! One step of a rollout.

use super::sets::{Sets, available, size};
use k8s_openapi::api::apps::v1::ReplicaSet;

fn named(set: &ReplicaSet) -> (String, i32) {
    (set.metadata.name.clone().unwrap_or_default(), size(set))
}

/// The size a new or growing newest set may have now, `current` being what it has.
pub(super) fn allowed(sets: &Sets<'_>, current: i32) -> i32 {
    if !super::strategy::is_rolling(sets.spec) {
        return sets.bounds.replicas;
    }
    let room = sets.bounds.max_total() - sets.total();
    current + room.min(sets.bounds.replicas - current).max(0)
}

/// Grows the newest set as far as the surge allows, or shrinks it to its size; whether there was anything to do.
pub(super) fn grow_newest(sets: &mut Sets<'_>) -> bool {
    let Some((name, current)) = sets.newest().map(named) else { return false };
    let wanted = sets.bounds.replicas;
    let next = if current > wanted { wanted } else { allowed(sets, current) };
    if next == current {
        return false;
    }
    sets.scale(&name, next);
    true
}

/// Shrinks old sets as far as availability allows; whether there was anything to do.
pub(super) fn shrink_old(sets: &mut Sets<'_>) -> bool {
    if sets.old().map(size).sum::<i32>() == 0 {
        return false;
    }
    let newest_unavailable = sets.newest().map_or(0, |set| size(set) - available(set));
    let most = sets.total() - sets.bounds.min_available() - newest_unavailable;
    if most <= 0 {
        return false;
    }
    let unhealthy = drop_unhealthy(sets, most);
    let healthy = drop_healthy(sets);
    unhealthy + healthy > 0
}

/// Pods of old sets that are not available can go without anybody missing them.
fn drop_unhealthy(sets: &mut Sets<'_>, most: i32) -> i32 {
    let old: Vec<(String, i32, i32)> = sets
        .old()
        .map(|set| (named(set), available(set)))
        .map(|((name, size), up)| (name, size, up))
        .collect();
    let mut dropped = 0;
    for (name, size, available) in old {
        let drop = (size - available).min(most - dropped);
        if drop > 0 {
            sets.scale(&name, size - drop);
            dropped += drop;
        }
    }
    dropped
}

fn drop_healthy(sets: &mut Sets<'_>) -> i32 {
    let spare = sets.total_available() - sets.bounds.min_available();
    let old: Vec<(String, i32)> = sets.old().map(named).collect();
    let mut dropped = 0;
    for (name, size) in old {
        let drop = size.min(spare - dropped);
        if drop > 0 {
            sets.scale(&name, size - drop);
            dropped += drop;
        }
    }
    dropped
}

/// Shrinks every old set to nothing; whether there was anything to do.
pub(super) fn stop_old(sets: &mut Sets<'_>) -> bool {
    let old: Vec<String> =
        sets.old().map(named).filter(|(_, size)| *size > 0).map(|(name, _)| name).collect();
    old.iter().for_each(|name| sets.scale(name, 0));
    !old.is_empty()
}
