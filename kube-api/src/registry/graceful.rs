//! The pure part of deleting: what becomes of an object.

use serde_json::Value;

use super::update::{is_finished, spec_finalizers_empty};
use crate::clock::Clock;
use crate::kinds::Kind;
use crate::object::{is_deleting, meta_list, set_meta, text};
use crate::request::DeleteOptions;

/// What becomes of an object that is to be deleted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// It goes at once.
    Gone,
    /// It is marked and stays until something else happens.
    Marked(Value),
    /// It is marked already.
    Unchanged,
}

pub(super) fn decide(kind: &Kind, current: &Value, options: &DeleteOptions, clock: &Clock) -> Fate {
    let grace = grace_seconds(kind, current, options);
    let namespace = kind.kind == "Namespace";
    let held = |object: &Value| {
        !meta_list(object, "finalizers").is_empty() || (namespace && !spec_finalizers_empty(object))
    };
    if grace == 0 && finalizer(options).is_none() && !held(current) {
        return Fate::Gone;
    }
    let mut object = current.clone();
    set_finalizers(&mut object, options);
    if grace == 0 && !held(&object) {
        return Fate::Gone;
    }
    let before = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    if !is_deleting(&object) || before.is_some_and(|b| grace < b) {
        mark(&mut object, grace, clock);
    }
    if namespace && let Some(map) = object.as_object_mut() {
        let status = map.entry("status").or_insert_with(|| Value::Object(serde_json::Map::new()));
        status["phase"] = "Terminating".into();
    }
    if object == *current {
        Fate::Unchanged
    } else if is_finished(&object) {
        Fate::Gone
    } else {
        Fate::Marked(object)
    }
}

fn mark(object: &mut Value, grace: i64, clock: &Clock) {
    let later = std::time::Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    if !is_deleting(object)
        && let Some(generation) = object.pointer("/metadata/generation").and_then(Value::as_i64)
    {
        set_meta(object, "generation", generation + 1);
    }
    set_meta(object, "deletionTimestamp", clock.rfc3339_after(later));
    set_meta(object, "deletionGracePeriodSeconds", grace);
}

/// Seconds that the object may go on. Only pods have them, and only those that a node runs.
fn grace_seconds(kind: &Kind, object: &Value, options: &DeleteOptions) -> i64 {
    if kind.kind != "Pod" || !kind.group.is_empty() {
        return 0;
    }
    let done = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if text(object, "/spec/nodeName").is_empty() || done {
        return 0;
    }
    let configured = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    let pending = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    let asked = match options.grace {
        Some(seconds) if seconds < 0 => 1,
        Some(seconds) => seconds,
        None => pending.or(configured).unwrap_or(30),
    };
    pending.map_or(asked, |p| asked.min(p)).max(0)
}

/// What keeps the object until its dependents have been dealt with.
fn finalizer(options: &DeleteOptions) -> Option<&'static str> {
    match (options.propagation.as_deref(), options.orphan) {
        (Some("Orphan"), _) | (None, Some(true)) => Some("orphan"),
        (Some("Foreground"), _) => Some("foregroundDeletion"),
        _ => None,
    }
}

fn set_finalizers(object: &mut Value, options: &DeleteOptions) {
    const OURS: [&str; 2] = ["orphan", "foregroundDeletion"];
    if options.propagation.is_none() && options.orphan.is_none() {
        return;
    }
    let current = meta_list(object, "finalizers");
    let mut finalizers: Vec<String> =
        current.iter().filter(|f| !OURS.contains(f)).map(|f| (*f).to_owned()).collect();
    finalizers.extend(finalizer(options).map(str::to_owned));
    if finalizers.len() != current.len() || !finalizers.iter().all(|f| current.contains(&f.as_str())) {
        set_meta(object, "finalizers", finalizers);
    }
}
