//! Pods and pod templates.

use std::collections::BTreeSet;

use serde_json::Value;

use super::container::{container, resource_requirements};
use super::label_keys::label_keys;
use super::volume::volumes;
use super::{Errors, each, gated, number, text};
use crate::field::FieldError;
use crate::kinds::{metadata, names};

const TOLERATION_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A whole pod.
pub(in crate::kinds) fn pod(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    match object.get("spec") {
        Some(spec) => pod_spec(&mut errors, spec, "spec"),
        None => errors.add(FieldError::required("spec.containers", "")),
    }
    errors.0
}

/// A pod template: labels, annotations and specification.
pub(super) fn template(errors: &mut Errors, template: &Value, path: &str) {
    let at = |pointer: &str| template.pointer(pointer);
    errors.0.extend(metadata::labels(at("/metadata/labels"), &format!("{path}.labels")));
    errors.0.extend(metadata::annotations(at("/metadata/annotations"), &format!("{path}.annotations")));
    match template.get("spec") {
        Some(spec) => pod_spec(errors, spec, &format!("{path}.spec")),
        None => errors.add(FieldError::required(format!("{path}.spec.containers"), "")),
    }
}

fn pod_spec(errors: &mut Errors, spec: &Value, path: &str) {
    let volumes = volumes(errors, spec, path);
    containers(errors, spec, path, &volumes);
    errors.one_of(spec, path, "restartPolicy", &["Always", "OnFailure", "Never"]);
    errors.one_of(spec, path, "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]);
    errors.nonnegative(spec, path, "terminationGracePeriodSeconds");
    if let Some(deadline) =
        number(spec, "activeDeadlineSeconds").filter(|d| !(1..=i64::from(i32::MAX)).contains(d))
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.add(FieldError::invalid(format!("{path}.activeDeadlineSeconds"), deadline, detail));
    }
    errors.0.extend(metadata::labels(spec.get("nodeSelector"), &format!("{path}.nodeSelector")));
    tolerations(errors, spec, path);
    label_keys(errors, spec, path);
    for (key, rule) in [
        ("serviceAccountName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns1123_subdomain),
        ("hostname", names::dns1123_label),
        ("subdomain", names::dns1123_label),
        ("priorityClassName", names::dns1123_subdomain),
        ("runtimeClassName", names::dns1123_subdomain),
    ] {
        let name = text(spec, key);
        if !name.is_empty() {
            errors.complaints(&format!("{path}.{key}"), &name.into(), rule(name));
        }
    }
    if let Some(resources) = spec.get("resources") {
        resource_requirements(errors, resources, &format!("{path}.resources"));
    }
    dns_config(errors, spec, path);
}

fn containers(errors: &mut Errors, spec: &Value, path: &str, volumes: &BTreeSet<&str>) {
    let mut seen = BTreeSet::new();
    if spec.get("containers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        errors.add(FieldError::required(format!("{path}.containers"), ""));
    }
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        for (path, value) in each(spec, path, key) {
            container(errors, value, &path, volumes);
            let name = text(value, "name");
            if !name.is_empty() && !seen.insert(name) {
                errors.add(FieldError::duplicate(format!("{path}.name"), name));
            }
            if key == "initContainers" {
                init_container(errors, value, &path);
            }
        }
    }
    host_ports(errors, spec, path);
}

/// Only sidecars (`restartPolicy: Always`) among the init containers may have probes and hooks.
fn init_container(errors: &mut Errors, container: &Value, path: &str) {
    errors.one_of_if_given(container, path, "restartPolicy", &["Always", "Never", "OnFailure"]);
    if text(container, "restartPolicy") == "Always" {
        return;
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
        if container.get(key).is_some() {
            let detail = "may not be set for init containers without restartPolicy=Always";
            errors.add(FieldError::forbidden(format!("{path}.{key}"), detail));
        }
    }
}

fn host_ports(errors: &mut Errors, spec: &Value, path: &str) {
    let on_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    let mut taken = BTreeSet::new();
    for (path, container) in each(spec, path, "containers") {
        for (path, port) in each(container, &path, "ports") {
            let Some(host) = number(port, "hostPort").filter(|p| *p != 0) else { continue };
            if on_host && number(port, "containerPort") != Some(host) {
                let detail = "must match `hostPort` when `hostNetwork` is true";
                let value = port.get("containerPort").cloned().unwrap_or_default();
                errors.add(FieldError::invalid(format!("{path}.containerPort"), value, detail));
            }
            let key = format!("{}/{}/{host}", text(port, "protocol"), text(port, "hostIP"));
            if !taken.insert(key.clone()) {
                errors.add(FieldError::duplicate(format!("{path}.hostPort"), key));
            }
        }
    }
}

fn tolerations(errors: &mut Errors, spec: &Value, path: &str) {
    for (path, toleration) in each(spec, path, "tolerations") {
        let (key, operator, value) =
            (text(toleration, "key"), text(toleration, "operator"), text(toleration, "value"));
        if !key.is_empty() {
            errors.complaints(&format!("{path}.key"), &key.into(), names::label_key(key));
        } else if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.add(FieldError::invalid(format!("{path}.operator"), operator, detail));
        }
        let operators = &["Equal", "Exists"];
        match operator {
            "" | "Equal" => {
                errors.complaints(&format!("{path}.operator"), &value.into(), names::label_value(value));
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.add(FieldError::invalid(format!("{path}.operator"), value, detail));
            }
            "Exists" => {}
            other => errors.add(FieldError::not_supported(format!("{path}.operator"), other, operators)),
        }
        let effect = text(toleration, "effect");
        if toleration.get("tolerationSeconds").is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.add(FieldError::invalid(format!("{path}.effect"), effect, detail));
        }
        errors.one_of_if_given(toleration, &path, "effect", TOLERATION_EFFECTS);
    }
}

fn dns_config(errors: &mut Errors, spec: &Value, path: &str) {
    let servers = spec.pointer("/dnsConfig/nameservers").and_then(Value::as_array).map_or(0, Vec::len);
    if text(spec, "dnsPolicy") == "None" && servers == 0 {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.add(FieldError::required(format!("{path}.dnsConfig.nameservers"), detail));
    }
}

/// What an update of a pod may change.
pub(in crate::kinds) fn pod_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let (Some(now), Some(then)) = (new.get("spec"), old.get("spec")) else { return Vec::new() };
    for key in ["containers", "initContainers"] {
        let count = |spec: &Value| spec.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        if count(now) != count(then) {
            let detail = "pod updates may not add or remove containers";
            errors.add(FieldError::forbidden(format!("spec.{key}"), detail));
            return errors.0;
        }
    }
    deadline_update(&mut errors, now, then);
    tolerations_update(&mut errors, now, then);
    gates_update(&mut errors, now, then);
    if !items(then, "schedulingGates").is_empty() {
        gated::narrowed(&mut errors, now, then);
    }
    if masked(now, then) != *then {
        errors.add(FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n",
        ));
    }
    errors.0
}

fn deadline_update(errors: &mut Errors, now: &Value, then: &Value) {
    const KEY: &str = "activeDeadlineSeconds";
    let path = format!("spec.{KEY}");
    match (number(now, KEY), number(then, KEY)) {
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.add(FieldError::invalid(path, Value::Null, detail));
        }
        (Some(new), Some(old)) if new > old => {
            errors.add(FieldError::invalid(path, new, "must be less than or equal to previous value"));
        }
        _ => {}
    }
}

/// The elements of a list.
pub(super) fn items<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn tolerations_update(errors: &mut Errors, now: &Value, then: &Value) {
    // The seconds of a toleration may change, everything else about it may not.
    let same = |a: &Value, b: &Value| {
        ["key", "operator", "value", "effect"].iter().all(|k| text(a, k) == text(b, k))
    };
    for old in items(then, "tolerations") {
        if !items(now, "tolerations").iter().any(|new| same(new, old)) {
            let detail = "existing toleration can not be modified except its tolerationSeconds";
            errors.add(FieldError::forbidden("spec.tolerations", detail));
            return;
        }
    }
}

fn gates_update(errors: &mut Errors, now: &Value, then: &Value) {
    for gate in items(now, "schedulingGates") {
        if !items(then, "schedulingGates").contains(gate) {
            let detail = "only deletion is allowed, but found new scheduling gate '".to_owned()
                + text(gate, "name")
                + "'";
            errors.add(FieldError::forbidden("spec.schedulingGates", detail));
        }
    }
}

/// The new specification with everything that may change set back.
fn masked(now: &Value, then: &Value) -> Value {
    let mut masked = now.clone();
    for key in ["containers", "initContainers"] {
        let containers = masked.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
        for (new, old) in containers.zip(items(then, key)) {
            put(new, old, "image");
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        put(&mut masked, then, key);
    }
    let grace = "terminationGracePeriodSeconds";
    if number(then, grace).is_some_and(|g| g < 0) && number(now, grace) == Some(1) {
        put(&mut masked, then, grace);
    }
    if !items(then, "schedulingGates").is_empty() {
        gated::set_back(&mut masked, then);
    }
    masked
}

/// Sets a field back to what it was.
pub(super) fn put(new: &mut Value, old: &Value, key: &str) {
    let Value::Object(map) = new else { return };
    match old.get(key) {
        Some(value) => map.insert(key.to_owned(), value.clone()),
        None => map.remove(key),
    };
}
