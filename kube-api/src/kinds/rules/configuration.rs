//! Namespaces, nodes, secrets and other kinds with a rule or two.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Rules, fill, list, object_at, text};
use crate::kinds::validate::object as validate;
use crate::kinds::validate::resources::limit_range as limit_range_errors;

pub(super) fn namespace() -> Rules {
    Rules { default: namespace_default, create: namespace_create, update: namespace_update, ..Rules::NONE }
}

/// Every namespace carries its name as a label, so that selectors can name it.
fn namespace_default(namespace: &mut Value) {
    let name = text(namespace, "/metadata/name").to_owned();
    if !name.is_empty()
        && let Some(labels) = object_at(namespace, &["metadata", "labels"])
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
}

/// A new namespace is active, and the namespace controller must have its say before it goes.
fn namespace_create(namespace: &mut Value) {
    if let Value::Object(map) = &mut *namespace {
        map.insert("status".to_owned(), json!({"phase": "Active"}));
    }
    let Some(spec) = object_at(namespace, &["spec"]) else { return };
    let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
    if let Value::Array(finalizers) = finalizers
        && !finalizers.iter().any(|f| f == "kubernetes")
    {
        finalizers.push("kubernetes".into());
    }
}

/// A new volume, or claim for one, waits for its other half.
pub(super) fn volume() -> Rules {
    let create = |volume: &mut Value| {
        if let Value::Object(map) = volume {
            map.insert("status".to_owned(), json!({"phase": "Pending"}));
        }
    };
    Rules { create, ..Rules::NONE }
}

/// Finalizers of the specification change through the `finalize` subresource only.
fn namespace_update(new: &mut Value, old: &Value) {
    let Some(spec) = object_at(new, &["spec"]) else { return };
    match old.pointer("/spec/finalizers") {
        Some(finalizers) => spec.insert("finalizers".to_owned(), finalizers.clone()),
        None => spec.remove("finalizers"),
    };
}

pub(super) fn node() -> Rules {
    Rules {
        default: node_default,
        validate: validate::node,
        validate_update: validate::node_update,
        ..Rules::NONE
    }
}

/// What a node has is what it can give, unless it says otherwise.
fn node_default(node: &mut Value) {
    let capacity = node.pointer("/status/capacity").cloned();
    if let (Some(capacity), Some(Value::Object(status))) = (capacity, node.get_mut("status")) {
        status.entry("allocatable").or_insert(capacity);
    }
}

pub(super) fn limit_range() -> Rules {
    Rules { default: limit_range_default, validate: limit_range_errors, ..Rules::NONE }
}

/// What containers are assumed to want follows from what they may have, as far as it is not said.
fn limit_range_default(range: &mut Value) {
    let items = range.pointer_mut("/spec/limits").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter(|item| item["type"] == "Container") {
        for (field, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
            let Some(Value::Object(known)) = item.get(from).cloned() else { continue };
            let Some(assumed) = object_at(item, &[field]) else { continue };
            for (name, amount) in known {
                assumed.entry(name).or_insert(amount);
            }
        }
    }
}

pub(super) fn secret() -> Rules {
    Rules {
        default: secret_default,
        validate: validate::secret,
        validate_update: validate::secret_update,
        ..Rules::NONE
    }
}

/// `stringData` is written, never read: it becomes data.
fn secret_default(secret: &mut Value) {
    let Value::Object(map) = secret else { return };
    let Some(Value::Object(plain)) = map.remove("stringData") else { return };
    let data = map.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(data) = data {
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
}

pub(super) fn network_policy() -> Rules {
    Rules { default: network_policy_default, ..Rules::NONE }
}

fn network_policy_default(policy: &mut Value) {
    let egress = !list(policy, "/spec/egress").is_empty();
    if let Some(spec) = object_at(policy, &["spec"])
        && spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty)
    {
        let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.insert("policyTypes".to_owned(), types);
    }
}

pub(super) fn role_binding() -> Rules {
    Rules { default: role_binding_default, validate_update: validate::role_binding_update, ..Rules::NONE }
}

/// Users and groups belong to the RBAC group, service accounts to the core group.
fn role_binding_default(binding: &mut Value) {
    for subject in binding.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        let is_person = matches!(text(subject, "/kind"), "User" | "Group");
        if let (true, Value::Object(subject)) = (is_person, subject) {
            fill(subject, "apiGroup", "rbac.authorization.k8s.io");
        }
    }
}
