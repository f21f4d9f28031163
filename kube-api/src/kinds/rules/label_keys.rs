//! Keys of labels that a pod's terms match by: a new pod's own values of them become demands of the terms' selectors, so
//! that everybody who counts pods reads selectors only.

use serde_json::{Value, json};

use super::pod::items;

/// Lists of keys, and what a selector demands of them.
const KEYS: [(&str, &str); 2] = [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")];

/// Does so for every term of pod affinity and every spread constraint.
pub(super) fn merge(pod: &mut Value) {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    if spec.get("affinity").is_none() && spec.get("topologySpreadConstraints").is_none() {
        return;
    }
    let labels = pod.pointer("/metadata/labels").cloned().unwrap_or_default();
    let Some(spec) = pod.get_mut("spec") else { return };
    for kind in ["/affinity/podAffinity", "/affinity/podAntiAffinity"] {
        let Some(affinity) = spec.pointer_mut(kind) else { continue };
        for term in items(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            merge_into(term, &labels);
        }
        for weighted in items(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                merge_into(term, &labels);
            }
        }
    }
    for constraint in items(spec, "topologySpreadConstraints") {
        merge_into(constraint, &labels);
    }
}

/// A term without a selector matches nothing and stays so; keys that the pod lacks demand nothing.
fn merge_into(term: &mut Value, labels: &Value) {
    let mut demands = Vec::new();
    for (field, operator) in KEYS {
        let keys = term.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        demands.extend(keys.filter_map(|key| {
            let value = labels.get(key)?;
            Some(json!({"key": key, "operator": operator, "values": [value]}))
        }));
    }
    let Some(Value::Object(selector)) = term.get_mut("labelSelector") else { return };
    if demands.is_empty() {
        return;
    }
    let expressions = selector.entry("matchExpressions").or_insert_with(|| json!([]));
    if let Some(expressions) = expressions.as_array_mut() {
        expressions.extend(demands);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

    /// What becomes of a term of a pod with the labels `a=1` and `b=` (no value), wherever the term stands.
    #[track_caller]
    fn check(term: Value, selector: Value) {
        let affinity = json!({REQUIRED: [term], PREFERRED: [{"weight": 1, "podAffinityTerm": term}]});
        let mut pod = json!({"metadata": {"labels": {"a": "1", "b": ""}}, "spec": {
            "affinity": {"podAffinity": affinity, "podAntiAffinity": affinity},
            "topologySpreadConstraints": [term],
        }});
        merge(&mut pod);
        let spec = &pod["spec"];
        for kind in ["podAffinity", "podAntiAffinity"] {
            let affinity = &spec["affinity"][kind];
            assert_eq!(affinity[REQUIRED][0]["labelSelector"], selector, "{kind}");
            assert_eq!(affinity[PREFERRED][0]["podAffinityTerm"]["labelSelector"], selector, "{kind}");
        }
        assert_eq!(spec["topologySpreadConstraints"][0]["labelSelector"], selector);
    }

    fn demand(key: &str, operator: &str, value: &str) -> Value {
        json!({"key": key, "operator": operator, "values": [value]})
    }

    #[test]
    fn keys_become_demands_of_the_selector() {
        let exists = json!({"key": "c", "operator": "Exists"});
        let labels = json!({"matchLabels": {"c": "3"}});
        check(json!({"matchLabelKeys": ["a"]}), Value::Null);
        check(json!({"labelSelector": labels}), labels.clone());
        check(json!({"labelSelector": {}, "matchLabelKeys": ["none"]}), json!({}));
        check(
            json!({"labelSelector": labels, "matchLabelKeys": ["a", "none", "b"]}),
            json!({"matchLabels": {"c": "3"}, "matchExpressions": [demand("a", "In", "1"), demand("b", "In", "")]}),
        );
        check(
            json!({"labelSelector": {"matchExpressions": [exists]}, "mismatchLabelKeys": ["a"], "matchLabelKeys": ["b"]}),
            json!({"matchExpressions": [exists, demand("b", "In", ""), demand("a", "NotIn", "1")]}),
        );
    }
}
