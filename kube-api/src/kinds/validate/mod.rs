//! What is wrong with objects of the built-in kinds, in upstream's words and, as far as clients can tell, its order.

pub(super) mod container;
pub(super) mod device;
pub(super) mod endpoints;
mod gated;
mod label_keys;
pub(super) mod object;
pub(super) mod pod;
pub(super) mod quota;
pub(super) mod resources;
pub(super) mod service;
pub(super) mod volume;
pub(super) mod workload;

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::names;
use crate::field::FieldError;
use crate::selector::LabelSelector;

pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// The errors found so far.
#[derive(Default)]
pub(super) struct Errors(pub(super) Vec<FieldError>);

impl Errors {
    pub(super) fn add(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// One error per complaint about a value.
    pub(super) fn complaints(&mut self, path: &str, value: &Value, complaints: Vec<String>) {
        for complaint in complaints {
            self.add(FieldError::invalid(path, value.clone(), complaint));
        }
    }

    /// A text that must be given; whether it was.
    pub(super) fn required(&mut self, object: &Value, path: &str, key: &str) -> bool {
        let given = !text(object, key).is_empty();
        if !given {
            self.add(FieldError::required(format!("{path}.{key}"), ""));
        }
        given
    }

    /// A text that must be one of these.
    pub(super) fn one_of(&mut self, object: &Value, path: &str, key: &str, allowed: &[&str]) {
        let value = text(object, key);
        if value.is_empty() {
            self.add(FieldError::required(format!("{path}.{key}"), ""));
        } else if !allowed.contains(&value) {
            self.add(FieldError::not_supported(format!("{path}.{key}"), value, allowed));
        }
    }

    /// As [`Errors::one_of`], but it may be missing.
    pub(super) fn one_of_if_given(&mut self, object: &Value, path: &str, key: &str, allowed: &[&str]) {
        if !text(object, key).is_empty() {
            self.one_of(object, path, key, allowed);
        }
    }

    /// A number that must not be negative.
    pub(super) fn nonnegative(&mut self, object: &Value, path: &str, key: &str) {
        if let Some(value) = number(object, key).filter(|n| *n < 0) {
            let detail = "must be greater than or equal to 0";
            self.add(FieldError::invalid(format!("{path}.{key}"), value, detail));
        }
    }

    /// A field that no update changes.
    pub(super) fn immutable(&mut self, new: &Value, old: &Value, path: &str) {
        let pointer = format!("/{}", path.replace('.', "/"));
        let (now, then) = (new.pointer(&pointer), old.pointer(&pointer));
        if now != then {
            let value = now.cloned().unwrap_or_default();
            self.add(FieldError::invalid(path, value, "field is immutable"));
        }
    }

    /// A port that is a number or the name of one.
    pub(super) fn port_or_name(&mut self, port: &Value, path: &str) {
        let complaints = match port {
            Value::String(name) => names::port_name(name),
            other => names::port_number(other.as_i64().unwrap_or_default()),
        };
        self.complaints(path, port, complaints);
    }
}

/// The text of a field; empty when there is none.
pub(super) fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(object: &Value, key: &str) -> Option<i64> {
    object.get(key).and_then(Value::as_i64)
}

/// The elements of a list with their paths.
pub(super) fn each<'v>(
    object: &'v Value,
    path: &str,
    key: &str,
) -> impl Iterator<Item = (String, &'v Value)> {
    let base = format!("{path}.{key}");
    let base = base.trim_start_matches('.').to_owned();
    object
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
        .map(move |(i, v)| (format!("{base}[{i}]"), v))
}

/// A `LabelSelector` object.
pub(super) fn label_selector(errors: &mut Errors, selector: &Value, path: &str) {
    errors.0.extend(super::metadata::labels(selector.get("matchLabels"), &format!("{path}.matchLabels")));
    for (path, expression) in each(selector, path, "matchExpressions") {
        let values = expression.get("values").and_then(Value::as_array).map_or(0, Vec::len);
        match text(expression, "operator") {
            "In" | "NotIn" if values == 0 => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.add(FieldError::required(format!("{path}.values"), detail));
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.add(FieldError::forbidden(format!("{path}.values"), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.add(FieldError::invalid(
                    format!("{path}.operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
        let key = expression.get("key").cloned().unwrap_or_else(|| "".into());
        errors.complaints(&format!("{path}.key"), &key, names::label_key(text(expression, "key")));
        for (path, value) in each(expression, &path, "values") {
            errors.complaints(&path, value, names::label_value(value.as_str().unwrap_or_default()));
        }
    }
}

/// A selector that must be there, must not be empty, and must select the template's labels. `kind` is for the message.
pub(super) fn selector_of_template(errors: &mut Errors, spec: &Value, kind: &str) {
    let Some(selector) = spec.get("selector") else {
        errors.add(FieldError::required("spec.selector", ""));
        let labels = spec.pointer("/template/metadata/labels").cloned().unwrap_or_default();
        // Without a selector nothing is selected, and upstream says that, too.
        errors.add(FieldError::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
        return;
    };
    label_selector(errors, selector, "spec.selector");
    let parsed = LabelSelector::from_object(selector);
    if parsed.as_ref().is_ok_and(LabelSelector::is_empty) {
        let detail = format!("empty selector is invalid for {kind}");
        errors.add(FieldError::invalid("spec.selector", selector.clone(), detail));
    }
    let labels = spec.pointer("/template/metadata/labels").cloned().unwrap_or_default();
    match parsed {
        Err(_) => {
            errors.add(FieldError::invalid("spec.selector", selector.clone(), "invalid label selector"))
        }
        Ok(parsed) if !parsed.is_empty() && !parsed.matches_object(&labels) => {
            let detail = "`selector` does not match template `labels`";
            errors.add(FieldError::invalid("spec.template.metadata.labels", labels, detail));
        }
        Ok(_) => {}
    }
}
