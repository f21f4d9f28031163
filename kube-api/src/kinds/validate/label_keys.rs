//! Keys of labels that terms of pod affinity and spread constraints match by. In new pods the server has merged them into
//! the selectors already, so a key that a user gave in both places is one that a selector names twice.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Errors, each, text};
use crate::field::FieldError;
use crate::kinds::names;

pub(super) fn label_keys(errors: &mut Errors, spec: &Value, path: &str) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.pointer(&format!("/affinity/{kind}")) else { continue };
        let path = format!("{path}.affinity.{kind}");
        for (path, term) in each(affinity, &path, "requiredDuringSchedulingIgnoredDuringExecution") {
            term_keys(errors, term, &path);
        }
        for (path, weighted) in each(affinity, &path, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get("podAffinityTerm") {
                term_keys(errors, term, &format!("{path}.podAffinityTerm"));
            }
        }
    }
    for (path, constraint) in each(spec, path, "topologySpreadConstraints") {
        term_keys(errors, constraint, &path);
    }
}

fn term_keys(errors: &mut Errors, term: &Value, path: &str) {
    well_formed(errors, term, path, "matchLabelKeys");
    well_formed(errors, term, path, "mismatchLabelKeys");
    not_in_selector(errors, term, path);
    let others: BTreeSet<_> = keys(term, "mismatchLabelKeys").collect();
    for (at, key) in keys(term, "matchLabelKeys").enumerate().filter(|(_, key)| others.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.add(FieldError::invalid(format!("{path}.matchLabelKeys[{at}]"), key, detail));
    }
}

fn keys<'v>(term: &'v Value, field: &str) -> impl Iterator<Item = &'v str> {
    term.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn well_formed(errors: &mut Errors, term: &Value, path: &str, field: &str) {
    let path = format!("{path}.{field}");
    if term.get("labelSelector").is_none() && keys(term, field).next().is_some() {
        errors.add(FieldError::forbidden(path, "must not be specified when labelSelector is not set"));
        return;
    }
    for (at, key) in keys(term, field).enumerate() {
        errors.complaints(&format!("{path}[{at}]"), &key.into(), names::label_key(key));
    }
}

/// The path of this error lacks the field's name in upstream, too.
fn not_in_selector(errors: &mut Errors, term: &Value, path: &str) {
    let places: HashMap<_, _> = keys(term, "matchLabelKeys").enumerate().map(|(at, key)| (key, at)).collect();
    let Some(selector) = term.get("labelSelector").filter(|_| !places.is_empty()) else { return };
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut named: BTreeSet<&str> = labels.map(|(key, _)| key.as_str()).collect();
    for (_, expression) in each(selector, path, "matchExpressions") {
        let key = text(expression, "key");
        if let (Some(at), false) = (places.get(key), named.insert(key)) {
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.add(FieldError::invalid(format!("{path}[{at}]"), key, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TERM: &str = "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]";
    const WEIGHTED: &str =
        "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm";

    /// A term, and what is wrong with it after its path.
    #[track_caller]
    fn check(term: Value, wrong: &[&str]) {
        let spec = json!({
            "affinity": {
                "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": term}]},
            },
            "topologySpreadConstraints": [term],
        });
        let mut errors = Errors::default();
        label_keys(&mut errors, &spec, "spec");
        let found: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
        let expected: Vec<_> = [TERM, WEIGHTED, "spec.topologySpreadConstraints[0]"]
            .iter()
            .flat_map(|path| wrong.iter().map(move |wrong| format!("{path}{wrong}")))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn keys_are_refused_in_upstreams_words() {
        let merged = json!({"key": "a", "operator": "In", "values": ["1"]});
        let selector = json!({"matchExpressions": [merged]});
        check(json!({"labelSelector": selector, "matchLabelKeys": ["a"]}), &[]);
        check(json!({"labelSelector": {"matchLabels": {"b": "1"}}, "mismatchLabelKeys": ["b"]}), &[]);
        check(
            json!({"matchLabelKeys": ["a"]}),
            &[".matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"],
        );
        for twice in [
            json!({"matchLabels": {"a": "1"}, "matchExpressions": [merged]}),
            json!({"matchExpressions": [{"key": "a", "operator": "Exists"}, merged]}),
        ] {
            check(
                json!({"labelSelector": twice, "matchLabelKeys": ["b", "a"]}),
                &["[1]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector"],
            );
        }
        check(
            json!({"labelSelector": {}, "matchLabelKeys": ["a"], "mismatchLabelKeys": ["a"]}),
            &[
                ".matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and mismatchLabelKeys",
            ],
        );
        let mut errors = Errors::default();
        let term = json!({"labelSelector": {}, "mismatchLabelKeys": ["-"]});
        label_keys(&mut errors, &json!({"topologySpreadConstraints": [term]}), "spec");
        let path = "spec.topologySpreadConstraints[0].mismatchLabelKeys[0]: Invalid value: \"-\": ";
        assert!(errors.0[0].to_string().starts_with(path), "{}", errors.0[0]);
    }
}
