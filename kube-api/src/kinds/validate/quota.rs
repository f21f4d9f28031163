//! Resource quotas.

use std::collections::BTreeSet;

use serde_json::Value;

use super::resources::{is_quota, is_whole, resource_name};
use super::{Errors, text};
use crate::field::FieldError;
use crate::quantity::Quantity;

/// What counts pods, and what their containers ask for.
const OF_PODS: [&str; 7] =
    ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const OF_CLAIMS: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
/// Scopes that an object is in or is not, so that they have no values.
const PLAIN: [&str; 5] =
    ["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];

pub(in crate::kinds) fn resource_quota(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = object.get("spec").unwrap_or(&Value::Null);
    amounts(&mut errors, spec, "spec.hard", "hard");
    scopes(&mut errors, spec);
    selector(&mut errors, spec);
    let status = object.get("status").unwrap_or(&Value::Null);
    amounts(&mut errors, status, "status.hard", "hard");
    amounts(&mut errors, status, "status.used", "used");
    errors.0
}

pub(in crate::kinds) fn resource_quota_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let scopes = |object: &Value| -> BTreeSet<String> {
        let scopes = object.pointer("/spec/scopes").and_then(Value::as_array).into_iter().flatten();
        scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
    };
    if scopes(new) == scopes(old) {
        return Vec::new();
    }
    let value = new.pointer("/spec/scopes").cloned().unwrap_or_default();
    vec![FieldError::invalid("spec.scopes", value, "field is immutable")]
}

fn amounts(errors: &mut Errors, object: &Value, path: &str, list: &str) {
    for (name, value) in object.get(list).and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}[{name}]");
        resource_name(errors, name, &path);
        if !name.contains('/') && !is_quota(name) {
            errors.add(FieldError::invalid(
                path.clone(),
                name.as_str(),
                "must be a standard resource for quota",
            ));
        }
        let Some(amount) = value.as_str().and_then(|text| text.parse::<Quantity>().ok()) else { continue };
        if amount.nanos() < 0 {
            let detail = "must be greater than or equal to 0";
            errors.add(FieldError::invalid(path.clone(), amount.to_string(), detail));
        }
        if is_whole(name) && amount.millis() % 1000 != 0 {
            errors.add(FieldError::invalid(path, amount.to_string(), "must be an integer"));
        }
    }
}

fn is_scope(scope: &str) -> bool {
    PLAIN.contains(&scope) || matches!(scope, "PriorityClass" | "VolumeAttributesClass")
}

/// Whether a scope tells apart objects that the resource counts.
fn applies(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => OF_CLAIMS.contains(&resource),
        scope if is_scope(scope) => OF_PODS.contains(&resource),
        _ => true,
    }
}

/// How many of a quota's resources a scope does not apply to.
fn beside(spec: &Value, scope: &str) -> usize {
    let names = spec.get("hard").and_then(Value::as_object).into_iter().flatten();
    names.filter(|(name, _)| is_quota(name) && !applies(scope, name)).count()
}

fn conflicts(errors: &mut Errors, scopes: &[&str], path: &str, value: &Value) {
    for pair in [["BestEffort", "NotBestEffort"], ["NotTerminating", "Terminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.add(FieldError::invalid(path, value.clone(), "conflicting scopes"));
        }
    }
}

fn scopes(errors: &mut Errors, spec: &Value) {
    let value = spec.get("scopes").unwrap_or(&Value::Null);
    let scopes: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for scope in &scopes {
        if !is_scope(scope) {
            errors.add(FieldError::invalid("spec.scopes", value.clone(), "unsupported scope"));
        }
        for _ in 0..beside(spec, scope) {
            let detail = "unsupported scope applied to resource";
            errors.add(FieldError::invalid("spec.scopes", value.clone(), detail));
        }
    }
    conflicts(errors, &scopes, "spec.scopes", value);
}

/// The paths are upstream's, which do not say which of the expressions is meant.
fn selector(errors: &mut Errors, spec: &Value) {
    let Some(selector) = spec.get("scopeSelector") else { return };
    let path = "spec.scopeSelector.matchExpressions";
    let mut scopes = Vec::new();
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let scope = text(expression, "scopeName");
        if !is_scope(scope) {
            errors.add(FieldError::invalid(format!("{path}.scopeName"), scope, "unsupported scope"));
        }
        for _ in 0..beside(spec, scope) {
            let detail = "unsupported scope applied to resource";
            errors.add(FieldError::invalid(path, selector.clone(), detail));
        }
        operator(errors, expression, path);
        scopes.push(scope);
    }
    conflicts(errors, &scopes, path, spec.get("scopes").unwrap_or(&Value::Null));
}

fn operator(errors: &mut Errors, expression: &Value, path: &str) {
    let operator = text(expression, "operator");
    if PLAIN.contains(&text(expression, "scopeName")) && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.add(FieldError::invalid(format!("{path}.operator"), operator, detail));
    }
    let values = expression.get("values").filter(|values| values.as_array().is_some_and(|v| !v.is_empty()));
    match (operator, values) {
        ("In" | "NotIn", None) => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.add(FieldError::required(format!("{path}.values"), detail));
        }
        ("Exists" | "DoesNotExist", Some(values)) => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.add(FieldError::invalid(format!("{path}.values"), values.clone(), detail));
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
        _ => {
            let detail = "not a valid selector operator";
            errors.add(FieldError::invalid(format!("{path}.operator"), operator, detail));
        }
    }
}
