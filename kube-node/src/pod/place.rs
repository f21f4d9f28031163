//! Whether a node is one of those that a pod asks for, as upstream's kubelet checks before it takes the pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

/// Whether the answer depends on the node's labels.
pub(crate) fn asks_for_labels(spec: &PodSpec) -> bool {
    let by_label =
        |term: &NodeSelectorTerm| !term.match_expressions.as_deref().unwrap_or_default().is_empty();
    !spec.node_selector.as_ref().is_none_or(BTreeMap::is_empty)
        || terms(spec).is_some_and(|all| all.iter().any(by_label))
}

/// Whether the node of this name and with these labels is what the selector and the required affinity ask for.
pub(crate) fn is_wanted(spec: &PodSpec, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let mut selector = spec.node_selector.iter().flatten();
    selector.all(|(key, value)| labels.get(key) == Some(value))
        && terms(spec).is_none_or(|all| all.iter().any(|term| matches(term, name, labels)))
}

fn terms(spec: &PodSpec) -> Option<&[NodeSelectorTerm]> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    Some(&required.node_selector_terms)
}

/// All requirements hold; a term without any matches nothing.
fn matches(term: &NodeSelectorTerm, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|r| holds(r, labels.get(&r.key).map(String::as_str)))
        && fields.iter().all(|r| r.key == "metadata.name" && holds(r, Some(name)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_listed = value.is_some_and(|value| values.iter().any(|listed| listed == value));
    match requirement.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => numbers(value, values).is_some_and(|(own, bound)| own > bound),
        "Lt" => numbers(value, values).is_some_and(|(own, bound)| own < bound),
        _ => false,
    }
}

fn numbers(value: Option<&str>, values: &[String]) -> Option<(i64, i64)> {
    match values {
        [bound] => Some((value?.parse().ok()?, bound.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wanted(spec: Value) -> bool {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let spec = serde_json::from_value(spec).expect("a specification");
        let labels = [("disk", "ssd"), ("cpus", "8")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        is_wanted(&spec, "n1", &labels.into())
    }

    fn affinity(terms: Value) -> Value {
        let required =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        json!({"affinity": {"nodeAffinity": required}})
    }

    #[test]
    fn a_selector_wants_every_label() {
        let cases = [
            (json!({}), true),
            (json!({"nodeSelector": {"disk": "ssd"}}), true),
            (json!({"nodeSelector": {"disk": "ssd", "cpus": "9"}}), false),
            (json!({"nodeSelector": {"zone": "a"}}), false),
        ];
        for (spec, expected) in cases {
            assert_eq!(wanted(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn an_affinity_wants_all_of_one_term() {
        let cases = [
            (json!({"key": "disk", "operator": "In", "values": ["hdd", "ssd"]}), true),
            (json!({"key": "disk", "operator": "In", "values": ["hdd"]}), false),
            (json!({"key": "disk", "operator": "NotIn", "values": ["ssd"]}), false),
            (json!({"key": "zone", "operator": "NotIn", "values": ["a"]}), true),
            (json!({"key": "disk", "operator": "Exists"}), true),
            (json!({"key": "zone", "operator": "DoesNotExist"}), true),
            (json!({"key": "disk", "operator": "DoesNotExist"}), false),
            (json!({"key": "cpus", "operator": "Gt", "values": ["4"]}), true),
            (json!({"key": "cpus", "operator": "Lt", "values": ["8"]}), false),
            (json!({"key": "disk", "operator": "Gt", "values": ["4"]}), false),
        ];
        for (requirement, expected) in cases {
            let found = wanted(affinity(json!([{"matchExpressions": [requirement]}])));
            assert_eq!(found, expected, "{requirement}");
        }
        let (yes, no) =
            (json!({"key": "disk", "operator": "Exists"}), json!({"key": "zone", "operator": "Exists"}));
        assert!(!wanted(affinity(json!([{"matchExpressions": [yes, no]}]))));
        assert!(wanted(affinity(json!([{"matchExpressions": [no]}, {"matchExpressions": [yes]}]))));
        assert!(!wanted(affinity(json!([{}]))), "an empty term");
    }

    #[test]
    fn an_affinity_can_name_the_node() {
        let name = |name: &str| {
            affinity(json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]))
        };
        assert!(wanted(name("n1")));
        assert!(!wanted(name("n2")));
    }
}
