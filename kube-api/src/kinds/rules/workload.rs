//! Kinds that hold a pod template and keep replicas of it.

use serde_json::Value;

use super::{Rules, pod};
use crate::field::FieldError;
use crate::kinds::validate::workload as validate;

fn default_template(object: &mut Value) {
    pod::default_template(object, "/spec/template");
}

/// A template, a selector that never changes, and these checks.
fn with_template(validate: fn(&Value) -> Vec<FieldError>) -> Rules {
    Rules { default: default_template, validate, validate_update: validate::selector_update, ..Rules::NONE }
}

pub(super) fn deployment() -> Rules {
    with_template(validate::deployment)
}

pub(super) fn replica_set() -> Rules {
    with_template(validate::replica_set)
}

/// Daemon sets and stateful sets.
pub(super) fn other() -> Rules {
    with_template(validate::other)
}

pub(super) fn replication_controller() -> Rules {
    Rules { default: default_controller, validate: validate::replication_controller, ..Rules::NONE }
}

/// Selector and labels default to the template's labels.
fn default_controller(object: &mut Value) {
    default_template(object);
    let Some(labels) = object.pointer("/spec/template/metadata/labels").filter(|l| l.is_object()).cloned()
    else {
        return;
    };
    for (path, key) in [("spec", "selector"), ("metadata", "labels")] {
        if let Some(map) = super::object_at(object, &[path])
            && map.get(key).and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
        {
            map.insert(key.to_owned(), labels.clone());
        }
    }
}
