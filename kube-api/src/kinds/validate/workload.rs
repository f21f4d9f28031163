//! Kinds with a pod template.

use serde_json::Value;

use super::{Errors, pod, selector_of_template, text};
use crate::field::FieldError;
use crate::kinds::names;

fn spec(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}

fn replicas_of_template(errors: &mut Errors, spec: &Value, kind: &str) {
    errors.nonnegative(spec, "spec", "replicas");
    errors.nonnegative(spec, "spec", "minReadySeconds");
    selector_of_template(errors, spec, kind);
    always_running(errors, spec);
}

/// A template whose pods are restarted for ever.
fn always_running(errors: &mut Errors, spec: &Value) {
    let template = spec.get("template").unwrap_or(&Value::Null);
    pod::template(errors, template, "spec.template");
    let policy = template.pointer("/spec/restartPolicy").and_then(Value::as_str).unwrap_or_default();
    if matches!(policy, "OnFailure" | "Never") {
        errors.add(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
    if template.pointer("/spec/activeDeadlineSeconds").is_some() {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.add(FieldError::forbidden("spec.template.spec.activeDeadlineSeconds", detail));
    }
}

pub(in crate::kinds) fn replica_set(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    // Upstream says "deployment" here, too.
    replicas_of_template(&mut errors, spec(object), "deployment");
    errors.0
}

/// The selector decides what belongs to the object: it never changes.
pub(in crate::kinds) fn selector_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.immutable(new, old, "spec.selector");
    errors.0
}

pub(in crate::kinds) fn deployment(object: &Value) -> Vec<FieldError> {
    let (mut errors, spec) = (Errors::default(), spec(object));
    replicas_of_template(&mut errors, spec, "deployment");
    strategy(&mut errors, spec.get("strategy").unwrap_or(&Value::Null));
    errors.nonnegative(spec, "spec", "revisionHistoryLimit");
    errors.nonnegative(spec, "spec", "progressDeadlineSeconds");
    let deadline = spec.get("progressDeadlineSeconds").and_then(Value::as_i64);
    let ready = spec.get("minReadySeconds").and_then(Value::as_i64).unwrap_or_default();
    if let Some(deadline) = deadline.filter(|d| *d <= ready) {
        let detail = "must be greater than minReadySeconds";
        errors.add(FieldError::invalid("spec.progressDeadlineSeconds", deadline, detail));
    }
    errors.0
}

fn strategy(errors: &mut Errors, strategy: &Value) {
    let path = "spec.strategy";
    match (text(strategy, "type"), strategy.get("rollingUpdate")) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.add(FieldError::forbidden(format!("{path}.rollingUpdate"), detail));
        }
        ("RollingUpdate", Some(rolling)) => rolling_update(errors, rolling, &format!("{path}.rollingUpdate")),
        ("Recreate", None) => {}
        ("RollingUpdate", None) => {
            let detail = "this should be defaulted and never be nil";
            errors.add(FieldError::required(format!("{path}.rollingUpdate"), detail));
        }
        _ => errors.add(FieldError::not_supported(path, strategy.clone(), &["Recreate", "RollingUpdate"])),
    }
}

fn rolling_update(errors: &mut Errors, rolling: &Value, path: &str) {
    let at = |key: &str| rolling.get(key).cloned().unwrap_or_else(|| 0.into());
    for key in ["maxUnavailable", "maxSurge"] {
        int_or_percent(errors, &at(key), &format!("{path}.{key}"));
    }
    let unavailable = at("maxUnavailable");
    if amount(&unavailable) == 0 && amount(&at("maxSurge")) == 0 {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.add(FieldError::invalid(format!("{path}.maxUnavailable"), unavailable, detail));
    } else if unavailable.is_string() && amount(&unavailable) > 100 {
        let path = format!("{path}.maxUnavailable");
        errors.add(FieldError::invalid(path, unavailable, "must not be greater than 100%"));
    }
}

fn amount(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.trim_end_matches('%').parse().unwrap_or_default(),
        other => other.as_i64().unwrap_or_default(),
    }
}

/// A number that is not negative, or a percentage.
fn int_or_percent(errors: &mut Errors, value: &Value, path: &str) {
    match value {
        Value::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                let message = "a valid percent string must be a numeric string followed by an ending '%'";
                let detail = names::pattern_complaint(message, "[0-9]+%", &["1%", "93%"]);
                errors.add(FieldError::invalid(path, value.clone(), detail));
            }
        }
        other if other.as_i64().is_some_and(|n| n < 0) => {
            errors.add(FieldError::invalid(path, value.clone(), "must be greater than or equal to 0"));
        }
        _ => {}
    }
}

/// Daemon sets and stateful sets: selector, template and history.
pub(in crate::kinds) fn other(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    replicas_of_template(&mut errors, spec(object), &text(object, "kind").to_lowercase());
    errors.nonnegative(spec(object), "spec", "revisionHistoryLimit");
    errors.0
}

/// Replication controllers select by a plain map.
pub(in crate::kinds) fn replication_controller(object: &Value) -> Vec<FieldError> {
    let (mut errors, spec) = (Errors::default(), spec(object));
    errors.nonnegative(spec, "spec", "replicas");
    errors.nonnegative(spec, "spec", "minReadySeconds");
    if spec.get("selector").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty) {
        errors.add(FieldError::required("spec.selector", ""));
    }
    if spec.get("template").is_none() {
        errors.add(FieldError::required("spec.template", ""));
        return errors.0;
    }
    always_running(&mut errors, spec);
    errors.0
}

/// What a job's pods look like is decided once.
pub(in crate::kinds) fn job_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.immutable(new, old, "spec.selector");
    if old.pointer("/spec/suspend") != Some(&Value::Bool(true)) {
        errors.immutable(new, old, "spec.template");
    }
    errors.immutable(new, old, "spec.completionMode");
    errors.0
}

/// Jobs run their pods to completion.
pub(in crate::kinds) fn job(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    job_spec(&mut errors, spec(object), "spec");
    errors.0
}

pub(in crate::kinds) fn cron_job(object: &Value) -> Vec<FieldError> {
    let (mut errors, spec) = (Errors::default(), spec(object));
    errors.required(spec, "spec", "schedule");
    errors.nonnegative(spec, "spec", "startingDeadlineSeconds");
    errors.one_of(spec, "spec", "concurrencyPolicy", &["Allow", "Forbid", "Replace"]);
    errors.nonnegative(spec, "spec", "successfulJobsHistoryLimit");
    errors.nonnegative(spec, "spec", "failedJobsHistoryLimit");
    let job = spec.pointer("/jobTemplate/spec").unwrap_or(&Value::Null);
    job_spec(&mut errors, job, "spec.jobTemplate.spec");
    errors.0
}

fn job_spec(errors: &mut Errors, spec: &Value, path: &str) {
    for key in
        ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
    {
        errors.nonnegative(spec, path, key);
    }
    let template = format!("{path}.template");
    let Some(value) = spec.get("template") else {
        errors.add(FieldError::required(format!("{template}.spec.containers"), ""));
        return;
    };
    pod::template(errors, value, &template);
    let policy = value.pointer("/spec/restartPolicy").and_then(Value::as_str).unwrap_or_default();
    if policy == "Always" {
        let path = format!("{template}.spec.restartPolicy");
        errors.add(FieldError::required(path, "valid values: \"OnFailure\", \"Never\""));
    }
}
