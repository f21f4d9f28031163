//! Node selectors and tolerations: the matching rules of `v1.NodeSelector`, `v1.LabelSelector` and `v1.Toleration`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Whether `toleration` tolerates `taint`.
#[must_use]
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default()
        }
        "Exists" => true,
        _ => false,
    }
}

/// Whether one of `tolerations` tolerates `taint`.
#[must_use]
pub fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// Whether a value (or its absence) meets a requirement.
#[must_use]
pub fn meets(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let compare = |greater: bool| {
        let number = |text: &str| text.parse::<i64>().ok();
        match (value.and_then(number), values) {
            (Some(left), [right]) => {
                number(right).is_some_and(|right| if greater { left > right } else { left < right })
            }
            _ => false,
        }
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| values.iter().any(|other| other == value)),
        "NotIn" => !value.is_some_and(|value| values.iter().any(|other| other == value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(true),
        "Lt" => compare(false),
        _ => false,
    }
}

/// Whether a node selector term matches a node; a term without requirements matches nothing.
#[must_use]
pub fn term_matches(term: &NodeSelectorTerm, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|r| meets(r, labels.get(&r.key).map(String::as_str)))
        && fields.iter().all(|r| r.key == "metadata.name" && meets(r, Some(name)))
}

/// Whether a label selector matches; `None` matches nothing and an empty selector everything.
#[must_use]
pub fn labels_match(selector: Option<&LabelSelector>, labels: Option<&BTreeMap<String, String>>) -> bool {
    let Some(selector) = selector else { return false };
    let value = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    selector.match_labels.iter().flatten().all(|(key, wanted)| value(key) == Some(wanted))
        && selector.match_expressions.iter().flatten().all(|r| {
            let requirement = NodeSelectorRequirement {
                key: r.key.clone(),
                operator: r.operator.clone(),
                values: r.values.clone(),
            };
            matches!(r.operator.as_str(), "In" | "NotIn" | "Exists" | "DoesNotExist")
                && meets(&requirement, value(&r.key))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: Some(value.into()), effect: effect.into(), time_added: None }
    }

    #[test]
    fn tolerations_follow_the_api_documentation() {
        let table = [
            (serde_json::json!({"key": "k", "value": "v"}), true),
            (serde_json::json!({"key": "k", "value": "w"}), false),
            (serde_json::json!({"key": "k", "operator": "Exists"}), true),
            (serde_json::json!({"operator": "Exists"}), true),
            (serde_json::json!({"operator": "Equal", "value": "v"}), false),
            (serde_json::json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), false),
            (serde_json::json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}), true),
            (serde_json::json!({"key": "k", "operator": "Bogus"}), false),
        ];
        for (toleration, expected) in table {
            let parsed: Toleration = serde_json::from_value(toleration.clone()).unwrap();
            assert_eq!(tolerates(&parsed, &taint("k", "v", "NoSchedule")), expected, "{toleration}");
        }
    }

    #[test]
    fn requirements_compare_values() {
        let table = [
            ("In", vec!["a", "b"], Some("a"), true),
            ("In", vec!["b"], Some("a"), false),
            ("In", vec!["b"], None, false),
            ("NotIn", vec!["a"], Some("a"), false),
            ("NotIn", vec!["a"], None, true),
            ("Exists", vec![], Some(""), true),
            ("Exists", vec![], None, false),
            ("DoesNotExist", vec![], None, true),
            ("Gt", vec!["3"], Some("4"), true),
            ("Gt", vec!["3"], Some("3"), false),
            ("Gt", vec!["3"], Some("x"), false),
            ("Lt", vec!["3"], Some("2"), true),
            ("Lt", vec!["3"], None, false),
            ("Bogus", vec![], Some("a"), false),
        ];
        for (operator, values, value, expected) in table {
            let values = Some(values.into_iter().map(str::to_owned).collect());
            let requirement = NodeSelectorRequirement { key: "k".into(), operator: operator.into(), values };
            assert_eq!(meets(&requirement, value), expected, "{operator} {value:?}");
        }
    }
}
