//! Claims for devices and their templates. Expressions of selectors are not compiled here: the scheduler says what is wrong with them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Errors, each, text};
use crate::field::FieldError;
use crate::kinds::names;

const MAX_REQUESTS: usize = 32;
const MAX_SELECTORS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
/// Bytes of an expression.
const MAX_EXPRESSION: usize = 10 * 1024;
/// So many may use a claim at once.
const MAX_USERS: usize = 256;

pub(in crate::kinds) fn claim(object: &Value) -> Vec<FieldError> {
    requests(object.get("spec").unwrap_or(&Value::Null), "spec")
}

pub(in crate::kinds) fn claim_template(object: &Value) -> Vec<FieldError> {
    requests(object.pointer("/spec/spec").unwrap_or(&Value::Null), "spec.spec")
}

/// What is asked for once stays as it is.
pub(in crate::kinds) fn spec_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.immutable(new, old, "spec");
    errors.0
}

fn requests(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let devices = spec.get("devices").unwrap_or(&Value::Null);
    let path = format!("{path}.devices");
    distinct(&mut errors, devices, &path, "requests", MAX_REQUESTS);
    for (path, request) in each(devices, &path, "requests") {
        name(&mut errors, request, &path);
        let (exactly, alternatives) = (request.get("exactly"), each(request, &path, "firstAvailable"));
        let alternatives: Vec<_> = alternatives.collect();
        if !alternatives.is_empty() {
            distinct(&mut errors, request, &path, "firstAvailable", MAX_ALTERNATIVES);
        }
        for (path, alternative) in &alternatives {
            name(&mut errors, alternative, path);
            wanted(&mut errors, alternative, path);
        }
        if let Some(exactly) = exactly {
            wanted(&mut errors, exactly, &format!("{path}.exactly"));
        }
        let detail = "exactly one of `exactly` or `firstAvailable` is required";
        match (exactly.is_some(), alternatives.is_empty()) {
            (false, true) => errors.add(FieldError::required(path, detail)),
            (true, false) => {
                let detail = format!("{detail}, but multiple fields are set");
                errors.add(FieldError::invalid(path, Value::Null, detail));
            }
            _ => {}
        }
    }
    errors.0
}

fn name(errors: &mut Errors, object: &Value, path: &str) {
    let name = text(object, "name");
    errors.complaints(&format!("{path}.name"), &name.into(), names::dns1123_label(name));
}

/// Names that occur twice, and more elements than there may be.
fn distinct(errors: &mut Errors, object: &Value, path: &str, key: &str, most: usize) {
    let mut seen = BTreeSet::new();
    let count = each(object, path, key).count();
    if count > most {
        errors.add(FieldError::too_many(format!("{path}.{key}"), count, most));
    }
    for (path, element) in each(object, path, key) {
        let name = text(element, "name");
        if !seen.insert(name) {
            errors.add(FieldError::duplicate(format!("{path}.name"), name));
        }
    }
}

/// A class of devices, how many of them, and which.
fn wanted(errors: &mut Errors, wanted: &Value, path: &str) {
    if errors.required(wanted, path, "deviceClassName") {
        let class = text(wanted, "deviceClassName");
        errors.complaints(&format!("{path}.deviceClassName"), &class.into(), names::dns1123_subdomain(class));
    }
    let selectors = each(wanted, path, "selectors").count();
    if selectors > MAX_SELECTORS {
        errors.add(FieldError::too_many(format!("{path}.selectors"), selectors, MAX_SELECTORS));
    }
    for (path, selector) in each(wanted, path, "selectors") {
        match selector.get("cel") {
            None => errors.add(FieldError::required(format!("{path}.cel"), "")),
            Some(cel) if text(cel, "expression").len() > MAX_EXPRESSION => {
                errors.add(FieldError::too_long(format!("{path}.cel.expression"), MAX_EXPRESSION));
            }
            Some(_) => {}
        }
    }
    let count = super::number(wanted, "count").unwrap_or_default();
    let refuse = |detail: &str| FieldError::invalid(format!("{path}.count"), count, detail);
    match text(wanted, "allocationMode") {
        "All" if count != 0 => errors.add(refuse("must not be specified when allocationMode is 'All'")),
        "ExactCount" if count <= 0 => errors.add(refuse("must be greater than zero")),
        "All" | "ExactCount" => {}
        other => {
            let path = format!("{path}.allocationMode");
            errors.add(FieldError::not_supported(path, other, &["All", "ExactCount"]));
        }
    }
}

/// Devices are given to a claim at once and taken away at once, and nobody uses a claim without any.
pub(in crate::kinds) fn claim_status(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let status = |object| Value::pointer(object, "/status").unwrap_or(&Value::Null);
    let (now, then) = (status(new), status(old));
    users(&mut errors, now);
    let path = "status.reservedFor";
    let reserved = |status: &Value| -> Vec<Value> {
        status.get("reservedFor").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (users, before) = (reserved(now), reserved(then));
    if !users.is_empty() && now.get("allocation").is_none() {
        errors.add(FieldError::forbidden(path, "may not be specified when `allocated` is not set"));
    } else if new.pointer("/metadata/deletionTimestamp").is_some()
        && users.iter().any(|user| !before.contains(user))
    {
        let detail =
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.add(FieldError::forbidden(path, detail));
    }
    if now.get("allocation").is_some() && then.get("allocation").is_some() {
        errors.immutable(new, old, "status.allocation");
    }
    errors.0
}

fn users(errors: &mut Errors, status: &Value) {
    let count = each(status, "status", "reservedFor").count();
    if count > MAX_USERS {
        errors.add(FieldError::too_many("status.reservedFor", count, MAX_USERS));
    }
    let mut seen = BTreeSet::new();
    for (path, user) in each(status, "status", "reservedFor") {
        for field in ["resource", "name", "uid"] {
            errors.required(user, &path, field);
        }
        if !seen.insert(text(user, "uid")) {
            errors.add(FieldError::duplicate(format!("{path}.uid"), text(user, "uid")));
        }
    }
}
