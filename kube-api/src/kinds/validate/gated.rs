//! Pods behind scheduling gates: whoever opens the gates may narrow down the nodes before.

use serde_json::{Map, Value, json};

use super::Errors;
use super::pod::{items, put};
use crate::field::FieldError;

const TERMS: &str = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

/// Refuses changes by which nodes could be added.
pub(super) fn narrowed(errors: &mut Errors, now: &Value, then: &Value) {
    let selector = now.get("nodeSelector").unwrap_or(&Value::Null);
    let mut given = then.get("nodeSelector").and_then(Value::as_object).into_iter().flatten();
    if given.any(|(key, value)| selector.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.add(FieldError::invalid("spec.nodeSelector", selector.clone(), detail));
    }
    let (terms, old) = (terms(now), terms(then));
    if !old.is_empty() && terms.len() != old.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.add(FieldError::invalid(format!("spec.{TERMS}"), terms.to_vec(), detail));
        return;
    }
    for (at, (term, old)) in terms.iter().zip(old).enumerate() {
        if !demands_more(term, old) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.add(FieldError::invalid(format!("spec.{TERMS}[{at}]"), term.clone(), detail));
        }
    }
}

fn terms(spec: &Value) -> &[Value] {
    let list = spec.pointer(&format!("/{}", TERMS.replace('.', "/"))).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A term that demands nothing selects no node, so that any demand would add nodes.
fn demands_more(now: &Value, then: &Value) -> bool {
    const DEMANDS: [&str; 2] = ["matchExpressions", "matchFields"];
    let nothing = |term: &Value| DEMANDS.iter().all(|key| items(term, key).is_empty());
    if nothing(then) {
        return nothing(now);
    }
    DEMANDS.iter().all(|key| items(now, key).starts_with(items(then, key)))
}

/// Sets back what may change. Affinity to pods stays as it was created: the server has written into its selectors.
pub(super) fn set_back(masked: &mut Value, then: &Value) {
    put(masked, then, "nodeSelector");
    let Value::Object(map) = masked else { return };
    let old = then.get("affinity");
    let affinity = map.entry("affinity").or_insert_with(|| json!({}));
    put(affinity, old.unwrap_or(&Value::Null), "nodeAffinity");
    if old.is_none() && affinity.as_object().is_some_and(Map::is_empty) {
        map.remove("affinity");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::validate::pod::pod_update;

    /// The complaints about changing parts of the specification of a gated pod.
    fn change(old: Value, new: Value) -> Vec<String> {
        let pod = |mut spec: Value| {
            spec["containers"] = json!([{"name": "a", "image": "x"}]);
            spec["schedulingGates"] = json!([{"name": "g"}]);
            json!({"spec": spec})
        };
        pod_update(&pod(new), &pod(old)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_affinity_to_nodes_changes() {
        let (none, nodes) = (json!({}), json!({"affinity": {"nodeAffinity": {}}}));
        let others = json!({"affinity": {"podAffinity": {}}});
        let both = json!({"affinity": {"nodeAffinity": {}, "podAffinity": {}}});
        for (old, new, allowed) in [
            (&none, &nodes, true),
            (&nodes, &none, true),
            (&others, &both, true),
            (&none, &others, false),
            (&nodes, &both, false),
            (&both, &nodes, false),
        ] {
            assert_eq!(change(old.clone(), new.clone()).is_empty(), allowed, "{old} {new}");
        }
    }

    #[test]
    fn selectors_are_only_added_to() {
        let select = |selector: Value| json!({"nodeSelector": selector});
        let refused = |value: &str| {
            [format!(
                "spec.nodeSelector: Invalid value: {value}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            )]
        };
        let one = || select(json!({"a": "1"}));
        assert_eq!(change(json!({}), one()), [""; 0]);
        assert_eq!(change(one(), select(json!({"a": "1", "b": "2"}))), [""; 0]);
        assert_eq!(change(one(), select(json!({"a": "2"}))), refused("{\"a\":\"2\"}"));
        assert_eq!(change(one(), json!({})), refused("null"));
    }

    #[test]
    fn terms_only_demand_more() {
        let (a, b) = (json!({"key": "a", "operator": "Exists"}), json!({"key": "b", "operator": "Exists"}));
        let (one, two) = (json!({"matchExpressions": [a]}), json!({"matchExpressions": [a, b]}));
        let (other, name) =
            (json!({"matchExpressions": [b]}), json!({"matchExpressions": [a], "matchFields": [b]}));
        let require = |terms: &[&Value]| {
            let required = json!({"nodeSelectorTerms": terms});
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}})
        };
        let count = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        let more = "only additions are allowed (no mutations or deletions)";
        for (old, new, reason) in [
            (vec![], vec![&one, &two], ""),
            (vec![&one], vec![&two], ""),
            (vec![&one], vec![&name], ""),
            (vec![&one], vec![&other], more),
            (vec![&two], vec![&one], more),
            (vec![&json!({})], vec![&one], more),
            (vec![&one], vec![&one, &two], count),
            (vec![&one], vec![], count),
        ] {
            let errors = change(require(&old), require(&new));
            let expected = errors
                .first()
                .map_or(reason.is_empty(), |error| error.ends_with(reason) && !reason.is_empty());
            assert!(expected && errors.len() < 2, "{old:?} {new:?}: {errors:?}");
        }
    }
}
