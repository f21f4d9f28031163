//! Config maps, secrets, leases, nodes, namespaces.

use serde_json::{Map, Value};

use super::{Errors, each, number, text};
use crate::field::FieldError;
use crate::kinds::names;

/// What the data of a config map or secret may add up to.
const MAX_DATA: usize = 1024 * 1024;

fn entries<'v>(object: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    object.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// Bytes of a value as they are without the base64.
fn size(value: &Value, encoded: bool) -> usize {
    let length = value.as_str().map_or(0, str::len);
    if encoded { length / 4 * 3 } else { length }
}

pub(in crate::kinds) fn config_map(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let mut total = 0;
    for (field, encoded) in [("data", false), ("binaryData", true)] {
        for (key, value) in entries(object, field) {
            let path = format!("{field}[{key}]");
            errors.complaints(&path, &key.as_str().into(), names::config_key(key));
            if !encoded && object.get("binaryData").and_then(|b| b.get(key)).is_some() {
                errors.add(FieldError::invalid(path, key.as_str(), "duplicate of key present in binaryData"));
            }
            total += size(value, encoded);
        }
    }
    if total > MAX_DATA {
        errors.add(FieldError::too_long("[]", MAX_DATA));
    }
    errors.0
}

/// The data of an immutable config map or secret stays, and so does its being immutable.
fn immutable_data(errors: &mut Errors, new: &Value, old: &Value, fields: &[&str]) {
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if new.get("immutable") != Some(&Value::Bool(true)) {
        errors.add(FieldError::forbidden("immutable", detail));
    }
    for field in fields {
        if new.get(*field) != old.get(*field) {
            errors.add(FieldError::forbidden(*field, detail));
        }
    }
}

pub(in crate::kinds) fn config_map_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    immutable_data(&mut errors, new, old, &["data", "binaryData"]);
    errors.0
}

/// Types of secrets and the keys they must have.
const SECRET_KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

pub(in crate::kinds) fn secret(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let mut total = 0;
    for (key, value) in entries(object, "data") {
        errors.complaints(&format!("data[{key}]"), &key.as_str().into(), names::config_key(key));
        total += size(value, true);
    }
    if total > MAX_DATA {
        errors.add(FieldError::too_long("data", MAX_DATA));
    }
    let empty = Map::new();
    let data = object.get("data").and_then(Value::as_object).unwrap_or(&empty);
    let ty = text(object, "type");
    for key in SECRET_KEYS.iter().filter(|(t, _)| *t == ty).flat_map(|(_, keys)| *keys) {
        if !data.contains_key(*key) {
            errors.add(FieldError::required(format!("data[{key}]"), ""));
        }
    }
    if ty == "kubernetes.io/basic-auth" && !data.contains_key("username") && !data.contains_key("password") {
        errors.add(FieldError::required("data[username]", ""));
        errors.add(FieldError::required("data[password]", ""));
    }
    let account = "kubernetes.io/service-account.name";
    let named = object.pointer("/metadata/annotations").map_or("", |a| text(a, account));
    if ty == "kubernetes.io/service-account-token" && named.is_empty() {
        errors.add(FieldError::required(format!("metadata.annotations[{account}]"), ""));
    }
    errors.0
}

pub(in crate::kinds) fn secret_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.immutable(new, old, "type");
    immutable_data(&mut errors, new, old, &["data"]);
    errors.0
}

pub(in crate::kinds) fn lease(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = object.get("spec").unwrap_or(&Value::Null);
    if let Some(seconds) = number(spec, "leaseDurationSeconds").filter(|s| *s <= 0) {
        errors.add(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    errors.nonnegative(spec, "spec", "leaseTransitions");
    if !text(spec, "preferredHolder").is_empty() && text(spec, "strategy").is_empty() {
        let detail = "may only be specified if `strategy` is defined";
        errors.add(FieldError::forbidden("spec.preferredHolder", detail));
    }
    errors.0
}

pub(in crate::kinds) fn node(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let mut seen = std::collections::BTreeSet::new();
    for (path, taint) in each(spec, "spec", "taints") {
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        errors.complaints(&format!("{path}.key"), &key.into(), names::label_key(key));
        errors.complaints(&format!("{path}.value"), &value.into(), names::label_value(value));
        errors.one_of(taint, &path, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if !seen.insert((key, effect)) {
            errors.add(FieldError::duplicate(path, taint.clone()));
        }
    }
    for (path, range) in each(spec, "spec", "podCIDRs") {
        let text = range.as_str().unwrap_or_default();
        if text.parse::<ipnet::IpNet>().is_err() {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.add(FieldError::invalid(path, text, detail));
        }
    }
    errors.0
}

/// Once assigned, a node's address ranges and its identity at the provider stay.
pub(in crate::kinds) fn node_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let at = |object: &Value, key: &str| object.pointer(&format!("/spec/{key}")).cloned().unwrap_or_default();
    for (path, key, name) in [("podCIDRs", "podCIDR", "podCIDR"), ("providerID", "providerID", "providerID")]
    {
        let (now, then) = (at(new, key), at(old, key));
        if !then.is_null() && then != "" && now != then {
            let detail = format!("node updates may not change {name} except from \"\" to valid");
            errors.add(FieldError::forbidden(format!("spec.{path}"), detail));
        }
    }
    errors.0
}

pub(in crate::kinds) fn event(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let involved = text(object.get("involvedObject").unwrap_or(&Value::Null), "namespace");
    let namespace = text(object.get("metadata").unwrap_or(&Value::Null), "namespace");
    let fits = if involved.is_empty() {
        matches!(namespace, "default" | "kube-system")
    } else {
        involved == namespace
    };
    if !fits && !namespace.is_empty() {
        errors.add(FieldError::invalid(
            "involvedObject.namespace",
            involved,
            "does not match event.namespace",
        ));
    }
    errors.0
}

/// A binding may get other subjects, but it never grants another role.
pub(in crate::kinds) fn role_binding_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let (now, then) = (new.get("roleRef"), old.get("roleRef"));
    if now == then {
        return Vec::new();
    }
    vec![FieldError::invalid("roleRef", now.cloned().unwrap_or_default(), "cannot change roleRef")]
}

pub(in crate::kinds) fn priority_class_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    for (field, detail) in
        [("value", "may not be changed in an update."), ("preemptionPolicy", "field is immutable")]
    {
        let value = |object: &Value| object.get(field).cloned().unwrap_or_default();
        if value(new) != value(old) {
            errors.add(match field {
                "value" => FieldError::forbidden("value", detail),
                _ => FieldError::invalid(field, value(new), detail),
            });
        }
    }
    errors.0
}

pub(in crate::kinds) fn storage_class_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if new.get(field) != old.get(field) {
            errors.add(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
        }
    }
    errors.immutable(new, old, "volumeBindingMode");
    errors.0
}
