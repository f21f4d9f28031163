//! Selectors of nodes and pods.

use serde_json::{Value, json};

use super::draw::Draw;
use super::{APPS, HOST, REGION, ZONE, ZONES};

/// What pods are called by.
pub(super) fn pod_labels(draw: &mut Draw) -> Value {
    draw.fields(&[("app", 90, APPS), ("tier", 50, &["x", "y"]), ("pod-template-hash", 50, &["h1", "h2"])])
}

/// A selector of pods.
pub(super) fn pod_selector(draw: &mut Draw) -> Value {
    match draw.below(10) {
        0 => json!({}),
        1..6 => json!({"matchLabels": {"app": draw.one(APPS)}}),
        6 => json!({"matchLabels": draw.fields(&[("app", 100, APPS), ("tier", 60, &["x", "y"])])}),
        _ => json!({"matchExpressions": draw.few(2, pod_expression)}),
    }
}

fn pod_expression(draw: &mut Draw) -> Value {
    let key = draw.one(&["app", "tier"]);
    match draw.one(&["In", "NotIn", "Exists", "DoesNotExist"]) {
        operator @ ("In" | "NotIn") => {
            let values = if key == "app" { draw.some(APPS, 60) } else { vec![draw.one(&["x", "y"])] };
            let values = if values.is_empty() { vec!["a"] } else { values };
            json!({"key": key, "operator": operator, "values": values})
        }
        operator => json!({"key": key, "operator": operator}),
    }
}

/// A term of a node selector.
pub(super) fn node_term(draw: &mut Draw) -> Value {
    if draw.chance(12) {
        return json!({"matchFields": [{"key": "metadata.name", "operator": draw.one(&["In", "In", "NotIn"]),
            "values": [format!("node-{}", draw.below(6))]}]});
    }
    if draw.chance(4) {
        return json!({});
    }
    json!({"matchExpressions": draw.few(2, node_expression)})
}

fn node_expression(draw: &mut Draw) -> Value {
    match draw.below(7) {
        0 | 1 => json!({"key": ZONE, "operator": draw.one(&["In", "NotIn"]), "values": [draw.one(ZONES)]}),
        2 => json!({"key": ZONE, "operator": "In", "values": [draw.one(ZONES), "z1"]}),
        3 => json!({"key": "gen", "operator": draw.one(&["Gt", "Lt"]), "values": [draw.one(&["2", "4"])]}),
        4 => json!({"key": draw.one(&["disk", "gen"]), "operator": draw.one(&["Exists", "DoesNotExist"])}),
        _ => json!({"key": "disk", "operator": draw.one(&["In", "NotIn"]), "values": ["ssd"]}),
    }
}

/// A key of nodes whose values are places.
pub(super) fn topology(draw: &mut Draw) -> &'static str {
    draw.one(&[ZONE, ZONE, HOST, HOST, REGION, "disk", "nowhere"])
}

/// What a pod wants of the pods around it.
pub(super) fn pod_term(draw: &mut Draw) -> Value {
    let mut term = json!({"labelSelector": pod_selector(draw), "topologyKey": topology(draw)});
    if draw.chance(20) {
        term["namespaces"] = json!([draw.one(super::NAMESPACES)]);
    }
    match draw.below(8) {
        0 => term["namespaceSelector"] = json!({}),
        1 => term["namespaceSelector"] = json!({"matchLabels": {"team": draw.one(&["red", "blue"])}}),
        _ => {}
    }
    match draw.below(12) {
        0 => term["matchLabelKeys"] = json!(["pod-template-hash"]),
        1 => term["mismatchLabelKeys"] = json!(["pod-template-hash"]),
        _ => {}
    }
    term
}

/// How a pod is spread.
pub(super) fn spread(draw: &mut Draw) -> Value {
    let mut constraint = json!({"maxSkew": draw.number(&[1, 1, 2, 3]), "topologyKey": topology(draw),
        "whenUnsatisfiable": draw.one(&["DoNotSchedule", "ScheduleAnyway"]), "labelSelector": pod_selector(draw)});
    if constraint["whenUnsatisfiable"] == "DoNotSchedule" && draw.chance(30) {
        constraint["minDomains"] = draw.number(&[1, 2, 3, 5]).into();
    }
    for (policy, percent) in [("nodeAffinityPolicy", 40), ("nodeTaintsPolicy", 50)] {
        if draw.chance(percent) {
            constraint[policy] = draw.one(&["Honor", "Ignore"]).into();
        }
    }
    if draw.chance(20) {
        constraint["matchLabelKeys"] = json!(["pod-template-hash"]);
    }
    constraint
}
