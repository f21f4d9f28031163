//! Node affinity in arguments.

use std::fmt::Display;

use k8s_openapi::api::core::v1::{NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm};

use crate::complaint::{Complaints, unqualified};

/// Complains about terms that could never be applied to a node.
pub(in crate::plugins) fn check_affinity(path: impl Display, affinity: &NodeAffinity, it: &mut Complaints) {
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref();
    for (index, each) in required.iter().flat_map(|selector| &selector.node_selector_terms).enumerate() {
        let place =
            format!("{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]");
        term(&place, each, it);
    }
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (index, each) in preferred.enumerate().filter(|(_, each)| each.weight != 0) {
        let place = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]");
        term(&place, &each.preference, it);
    }
}

fn term(path: &str, term: &NodeSelectorTerm, it: &mut Complaints) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        label(&format!("{path}.matchExpressions[{index}]"), requirement, it);
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        field(&format!("{path}.matchFields[{index}]"), requirement, it);
    }
}

fn label(path: &str, requirement: &NodeSelectorRequirement, it: &mut Complaints) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let operator = requirement.operator.as_str();
    let reason = match operator {
        "In" | "NotIn" if values.is_empty() => "for 'in', 'notin' operators, values set can't be empty",
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            "values set must be empty for exists and does not exist"
        }
        "Gt" | "Lt" if values.len() != 1 => "for 'Gt', 'Lt' operators, exactly one value is required",
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => "",
        _ => {
            const KNOWN: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
            return it.unsupported(format_args!("{path}.operator"), operator, &KNOWN);
        }
    };
    let flaws = unqualified(&requirement.key).join("; ");
    let key = format!("{:?}", requirement.key);
    it.invalid_if(!flaws.is_empty(), format_args!("{path}.key"), key, flaws);
    it.invalid_if(!reason.is_empty(), format_args!("{path}.values"), list(values), reason);
    if let ("Gt" | "Lt", [value]) = (operator, values) {
        let reason = "for 'Gt', 'Lt' operators, the value must be an integer";
        let value_path = format_args!("{path}.values[0]");
        it.invalid_if(value.parse::<i64>().is_err(), value_path, format_args!("{value:?}"), reason);
    }
}

fn field(path: &str, requirement: &NodeSelectorRequirement, it: &mut Complaints) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" => {
            let wrong = values.len() != 1;
            it.invalid_if(wrong, format_args!("{path}.values"), list(values), "must have one element");
        }
        other => it.unsupported(format_args!("{path}.operator"), other, &["In", "NotIn"]),
    }
}

/// As JSON has it.
fn list(values: &[String]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", quoted.join(","))
}
