//! What every kind's metadata must look like.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Kind;
use super::names;
use crate::field::FieldError;

/// All annotations of an object together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

pub(super) fn generation(object: &Value) -> Option<i64> {
    object.pointer("/metadata/generation").and_then(Value::as_i64)
}

pub(super) fn set_generation(object: &mut Value, generation: Option<i64>) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else { return };
    match generation {
        Some(generation) => metadata.insert("generation".to_owned(), generation.into()),
        None => metadata.remove("generation"),
    };
}

/// Restores the metadata that an update of the status may not touch.
pub(super) fn keep_for_status(new: &mut Value, old: &Value) {
    let Some(Value::Object(metadata)) = new.get_mut("metadata") else { return };
    let before = old.get("metadata");
    for key in ["generation", "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        match before.and_then(|m| m.get(key)) {
            Some(value) => metadata.insert(key.to_owned(), value.clone()),
            None => metadata.remove(key),
        };
    }
}

fn text<'v>(metadata: &'v Value, key: &str) -> &'v str {
    metadata.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn validate(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let mut errors = Vec::new();
    let generate = text(metadata, "generateName");
    if !generate.is_empty() {
        let complaints = kind.name_rule.complaints(generate, true);
        errors.extend(
            complaints.into_iter().map(|c| FieldError::invalid("metadata.generateName", generate, c)),
        );
    }
    let name = text(metadata, "name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    }
    let complaints = if name.is_empty() { Vec::new() } else { kind.name_rule.complaints(name, false) };
    errors.extend(complaints.into_iter().map(|c| FieldError::invalid("metadata.name", name, c)));
    errors.extend(namespace(kind, text(metadata, "namespace")));
    errors.extend(common(metadata));
    errors
}

fn namespace(kind: &Kind, namespace: &str) -> Vec<FieldError> {
    let path = "metadata.namespace";
    match (kind.is_namespaced(), namespace.is_empty()) {
        (true, true) => vec![FieldError::required(path, "")],
        (false, false) => vec![FieldError::forbidden(path, "not allowed on this type")],
        (false, true) => Vec::new(),
        (true, false) => {
            let complaints = names::dns1123_label(namespace).into_iter();
            complaints.map(|c| FieldError::invalid(path, namespace, c)).collect()
        }
    }
}

/// What create and update have in common.
fn common(metadata: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64).filter(|g| *g < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("metadata.generation", generation, detail));
    }
    errors.extend(labels(metadata.get("labels"), "metadata.labels"));
    errors.extend(annotations(metadata.get("annotations"), "metadata.annotations"));
    errors.extend(owners(metadata.get("ownerReferences")));
    errors.extend(finalizers(metadata));
    errors
}

fn entries(map: Option<&Value>) -> impl Iterator<Item = (&String, &str)> {
    let map: Option<&Map<String, Value>> = map.and_then(Value::as_object);
    map.into_iter().flatten().map(|(k, v)| (k, v.as_str().unwrap_or_default()))
}

/// What is wrong with a map of labels at `path`.
pub(super) fn labels(map: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in entries(map) {
        let keys = names::label_key(key);
        errors.extend(keys.into_iter().map(|c| FieldError::invalid(path, key.as_str(), c)));
        let values = names::label_value(value);
        errors.extend(values.into_iter().map(|c| FieldError::invalid(path, value, c)));
    }
    errors
}

/// What is wrong with a map of annotations at `path`.
pub(super) fn annotations(map: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in entries(map) {
        let complaints = names::label_key(&key.to_lowercase());
        errors.extend(complaints.into_iter().map(|c| FieldError::invalid(path, key.as_str(), c)));
        size += key.len() + value.len();
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS));
    }
    errors
}

fn owners(references: Option<&Value>) -> Vec<FieldError> {
    const PATH: &str = "metadata.ownerReferences";
    let list = references.and_then(Value::as_array);
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for reference in list.into_iter().flatten() {
        errors.extend(owner(reference, PATH));
        if reference.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        let this = format!("{}/{}", text(reference, "kind"), text(reference, "name"));
        if let Some(first) = &controller {
            let detail = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
            );
            errors.push(FieldError::invalid(PATH, references.cloned().unwrap_or_default(), detail));
        } else {
            controller = Some(this);
        }
    }
    errors
}

fn owner(reference: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, detail) in [
        ("apiVersion", "version must not be empty"),
        ("kind", "must not be empty"),
        ("name", "must not be empty"),
        ("uid", "must not be empty"),
    ] {
        if text(reference, key).is_empty() {
            errors.push(FieldError::invalid(format!("{path}.{key}"), "", detail));
        }
    }
    if text(reference, "apiVersion") == "v1" && text(reference, "kind") == "Event" {
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(FieldError::invalid(path, reference.clone(), detail));
    }
    errors
}

fn strings<'v>(metadata: &'v Value, key: &str) -> BTreeSet<&'v str> {
    metadata.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn finalizers(metadata: &Value) -> Vec<FieldError> {
    const PATH: &str = "metadata.finalizers";
    let mut errors = Vec::new();
    let list = strings(metadata, "finalizers");
    for finalizer in &list {
        let complaints = names::label_key(finalizer);
        errors.extend(complaints.into_iter().map(|c| FieldError::invalid(PATH, *finalizer, c)));
    }
    if list.contains("orphan") && list.contains("foregroundDeletion") {
        let value = metadata.get("finalizers").cloned().unwrap_or_default();
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(PATH, value, detail));
    }
    errors
}

/// Metadata that no update changes.
const IMMUTABLE: [&str; 6] =
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

pub(super) fn validate_update(_kind: &Kind, new: &Value, old: &Value) -> Vec<FieldError> {
    let empty = Value::Null;
    let (metadata, before) = (new.get("metadata").unwrap_or(&empty), old.get("metadata").unwrap_or(&empty));
    let mut errors = Vec::new();
    if before.get("deletionTimestamp").is_some_and(|t| !t.is_null()) {
        errors.extend(no_new_finalizers(metadata, before));
    }
    if text(metadata, "resourceVersion").is_empty() {
        let detail = "must be specified for an update";
        errors.push(FieldError::invalid("metadata.resourceVersion", "", detail));
    }
    if let (Some(now), Some(then)) = (generation(new), generation(old))
        && now < then
    {
        errors.push(FieldError::invalid("metadata.generation", now, "must not be decremented"));
    }
    for key in IMMUTABLE {
        let (now, then) = (metadata.get(key), before.get(key));
        if now.filter(|v| !v.is_null()) != then.filter(|v| !v.is_null()) {
            let value = now.cloned().unwrap_or_default();
            errors.push(FieldError::invalid(format!("metadata.{key}"), value, "field is immutable"));
        }
    }
    errors.extend(common(metadata));
    errors
}

fn no_new_finalizers(metadata: &Value, before: &Value) -> Option<FieldError> {
    let (now, then) = (strings(metadata, "finalizers"), strings(before, "finalizers"));
    let added: Vec<String> = now.difference(&then).map(|f| format!("{f:?}")).collect();
    (!added.is_empty()).then(|| {
        FieldError::forbidden(
            "metadata.finalizers",
            format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            ),
        )
    })
}
