//! Containers: ports, environment, mounts, resources, probes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Errors, PROTOCOLS, each, number, text};
use crate::field::FieldError;
use crate::kinds::names;
use crate::quantity::Quantity;

/// One container. `volumes` are the names of the pod's volumes.
pub(super) fn container(errors: &mut Errors, container: &Value, path: &str, volumes: &BTreeSet<&str>) {
    if errors.required(container, path, "name") {
        let name = text(container, "name");
        errors.complaints(&format!("{path}.name"), &name.into(), names::dns1123_label(name));
    }
    let image = text(container, "image");
    if image.is_empty() {
        errors.add(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.add(FieldError::invalid(format!("{path}.image"), image, detail));
    }
    errors.one_of(container, path, "terminationMessagePolicy", &["FallbackToLogsOnError", "File"]);
    ports(errors, container, path);
    environment(errors, container, path);
    mounts(errors, container, path, volumes);
    errors.one_of(container, path, "imagePullPolicy", &["Always", "IfNotPresent", "Never"]);
    if let Some(resources) = container.get("resources") {
        resource_requirements(errors, resources, &format!("{path}.resources"));
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(key) {
            probe(errors, value, &format!("{path}.{key}"), key != "readinessProbe");
        }
    }
    for key in ["postStart", "preStop"] {
        if let Some(value) = container.pointer(&format!("/lifecycle/{key}")) {
            handler(errors, value, &format!("{path}.lifecycle.{key}"));
        }
    }
}

fn ports(errors: &mut Errors, container: &Value, path: &str) {
    let mut seen = BTreeSet::new();
    for (path, port) in each(container, path, "ports") {
        let name = text(port, "name");
        if !name.is_empty() {
            let complaints = names::port_name(name);
            if complaints.is_empty() && !seen.insert(name) {
                errors.add(FieldError::duplicate(format!("{path}.name"), name));
            }
            errors.complaints(&format!("{path}.name"), &name.into(), complaints);
        }
        match number(port, "containerPort").unwrap_or_default() {
            0 => errors.add(FieldError::required(format!("{path}.containerPort"), "")),
            n => errors.complaints(&format!("{path}.containerPort"), &n.into(), names::port_number(n)),
        }
        if let Some(n) = number(port, "hostPort").filter(|n| *n != 0) {
            errors.complaints(&format!("{path}.hostPort"), &n.into(), names::port_number(n));
        }
        errors.one_of(port, &path, "protocol", PROTOCOLS);
    }
}

fn environment(errors: &mut Errors, container: &Value, path: &str) {
    for (path, variable) in each(container, path, "env") {
        if errors.required(variable, &path, "name") {
            let name = text(variable, "name");
            errors.complaints(&format!("{path}.name"), &name.into(), names::env_name(name));
        }
        if let Some(source) = variable.get("valueFrom") {
            value_from(errors, variable, source, &format!("{path}.valueFrom"));
        }
    }
    for (path, source) in each(container, path, "envFrom") {
        env_from(errors, source, &path);
    }
}

fn value_from(errors: &mut Errors, variable: &Value, source: &Value, path: &str) {
    const SOURCES: [&str; 5] =
        ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let given = SOURCES.iter().filter(|key| source.get(**key).is_some()).count();
    if let Some(reference) = source.get("fieldRef") {
        field_reference(errors, reference, &format!("{path}.fieldRef"));
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = source.get(key) {
            key_reference(errors, reference, &format!("{path}.{key}"));
        }
    }
    if let Some(reference) = source.get("resourceFieldRef") {
        errors.required(reference, &format!("{path}.resourceFieldRef"), "resource");
    }
    let detail = match given {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !text(variable, "value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.add(FieldError::invalid(path, "", detail));
}

/// Fields of the pod that the downward API offers to environment variables.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

fn field_reference(errors: &mut Errors, reference: &Value, path: &str) {
    if !errors.required(reference, path, "apiVersion") || !errors.required(reference, path, "fieldPath") {
        return;
    }
    let field = text(reference, "fieldPath");
    let of_map = ["metadata.labels['", "metadata.annotations['"].iter().any(|p| field.starts_with(p));
    if !of_map && !FIELDS.contains(&field) {
        errors.add(FieldError::not_supported(format!("{path}.fieldPath"), field, FIELDS));
    }
}

fn key_reference(errors: &mut Errors, reference: &Value, path: &str) {
    let name = text(reference, "name");
    if !name.is_empty() {
        errors.complaints(&format!("{path}.name"), &name.into(), names::dns1123_subdomain(name));
    }
    if errors.required(reference, path, "key") {
        let key = text(reference, "key");
        errors.complaints(&format!("{path}.key"), &key.into(), names::config_key(key));
    }
}

fn env_from(errors: &mut Errors, source: &Value, path: &str) {
    let prefix = text(source, "prefix");
    if !prefix.is_empty() {
        errors.complaints(&format!("{path}.prefix"), &prefix.into(), names::env_name(prefix));
    }
    let given: Vec<&str> =
        ["configMapRef", "secretRef"].into_iter().filter(|k| source.get(k).is_some()).collect();
    match given.as_slice() {
        [] => errors.add(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
        [key] => {
            let name = source.get(*key).map(|r| text(r, "name")).unwrap_or_default();
            let path = format!("{path}.{key}.name");
            errors.complaints(&path, &name.into(), names::dns1123_subdomain(name));
        }
        _ => {
            errors.add(FieldError::invalid(path, "", "may not have more than one field specified at a time"))
        }
    }
}

fn mounts(errors: &mut Errors, container: &Value, path: &str, volumes: &BTreeSet<&str>) {
    let mut paths = BTreeSet::new();
    for (path, mount) in each(container, path, "volumeMounts") {
        let name = text(mount, "name");
        if name.is_empty() {
            errors.add(FieldError::required(format!("{path}.name"), ""));
        }
        if !volumes.contains(name) {
            errors.add(FieldError::not_found(format!("{path}.name"), name));
        }
        let target = text(mount, "mountPath");
        if target.is_empty() {
            errors.add(FieldError::required(format!("{path}.mountPath"), ""));
        }
        if !paths.insert(target) {
            errors.add(FieldError::invalid(format!("{path}.mountPath"), target, "must be unique"));
        }
        for key in ["subPath", "subPathExpr"] {
            descending(errors, text(mount, key), &format!("{path}.{key}"));
        }
        if !text(mount, "subPath").is_empty() && !text(mount, "subPathExpr").is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.add(FieldError::invalid(
                format!("{path}.subPathExpr"),
                text(mount, "subPathExpr"),
                detail,
            ));
        }
        let modes = &["Bidirectional", "HostToContainer", "None"];
        errors.one_of_if_given(mount, &path, "mountPropagation", modes);
    }
}

/// A path inside a volume: relative and never upwards.
pub(super) fn descending(errors: &mut Errors, value: &str, path: &str) {
    if value.starts_with('/') {
        errors.add(FieldError::invalid(path, value, "must be a relative path"));
    }
    if value.split('/').any(|part| part == "..") {
        errors.add(FieldError::invalid(path, value, "must not contain '..'"));
    }
}

fn quantity(value: &Value) -> Option<Quantity> {
    value.as_str()?.parse().ok()
}

/// Requests and limits of a container, a volume or a pod.
pub(super) fn resource_requirements(errors: &mut Errors, resources: &Value, path: &str) {
    for list in ["limits", "requests"] {
        for (name, value) in resources.get(list).and_then(Value::as_object).into_iter().flatten() {
            resource_quantity(errors, name, value, &format!("{path}.{list}"));
        }
    }
    let limits = resources.get("limits").and_then(Value::as_object);
    for (name, value) in resources.get("requests").and_then(Value::as_object).into_iter().flatten() {
        let limit = limits.and_then(|l| l.get(name));
        let exact = name.contains('/') || name.starts_with("hugepages-");
        let path = format!("{path}.requests");
        match (quantity(value), limit.and_then(quantity)) {
            (Some(asked), Some(limit)) if exact && asked != limit => {
                let detail = format!("must be equal to {name} limit of {limit}");
                errors.add(FieldError::invalid(path, value.clone(), detail));
            }
            (Some(asked), Some(limit)) if !exact && asked > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.add(FieldError::invalid(path, value.clone(), detail));
            }
            (Some(_), None) if exact => {
                let detail = "Limit must be set for non overcommitable resources";
                errors.add(FieldError::required(path.replace(".requests", ".limits"), detail));
            }
            _ => {}
        }
    }
}

const STANDARD: [&str; 4] = ["cpu", "ephemeral-storage", "memory", "storage"];

fn resource_quantity(errors: &mut Errors, name: &str, value: &Value, path: &str) {
    let here = format!("{path}[{name}]");
    errors.complaints(&here, &name.into(), names::label_key(name));
    if !name.contains('/') && !STANDARD.contains(&name) && !name.starts_with("hugepages-") {
        let detail = "must be a standard resource type or fully qualified";
        errors.add(FieldError::invalid(here.clone(), name, detail));
    }
    let Some(amount) = quantity(value) else { return };
    if amount.nanos() < 0 {
        let detail = "must be greater than or equal to 0";
        errors.add(FieldError::invalid(here.clone(), value.clone(), detail));
    }
    if name.contains('/') && amount.is_fractional() {
        errors.add(FieldError::invalid(here, value.clone(), "must be an integer"));
    }
}

fn probe(errors: &mut Errors, probe: &Value, path: &str, succeeds_once: bool) {
    handler(errors, probe, path);
    for key in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        errors.nonnegative(probe, path, key);
    }
    if let Some(grace) = number(probe, "terminationGracePeriodSeconds").filter(|g| *g <= 0) {
        let path = format!("{path}.terminationGracePeriodSeconds");
        errors.add(FieldError::invalid(path, grace, "must be greater than 0"));
    }
    if let Some(n) = number(probe, "successThreshold").filter(|n| succeeds_once && *n != 1) {
        errors.add(FieldError::invalid(format!("{path}.successThreshold"), n, "must be 1"));
    }
}

/// What a probe or a lifecycle hook does: exactly one thing.
fn handler(errors: &mut Errors, handler: &Value, path: &str) {
    let mut found = false;
    for key in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = handler.get(key) else { continue };
        let path = format!("{path}.{key}");
        if found {
            errors.add(FieldError::forbidden(path, "may not specify more than 1 handler type"));
            continue;
        }
        found = true;
        match key {
            "exec" if action.get("command").and_then(Value::as_array).is_none_or(Vec::is_empty) => {
                errors.add(FieldError::required(format!("{path}.command"), ""));
            }
            "httpGet" => {
                errors.required(action, &path, "path");
                errors.port_or_name(action.get("port").unwrap_or(&Value::Null), &format!("{path}.port"));
                errors.one_of(action, &path, "scheme", &["HTTP", "HTTPS"]);
            }
            "tcpSocket" | "grpc" => {
                errors.port_or_name(action.get("port").unwrap_or(&Value::Null), &format!("{path}.port"));
            }
            _ => {}
        }
    }
    if !found {
        errors.add(FieldError::required(path, "must specify a handler type"));
    }
}
