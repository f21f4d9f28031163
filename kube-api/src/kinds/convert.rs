//! Versions of one kind that share their stored objects.

use serde_json::{Map, Value, json};

use super::Kind;

/// Fields of `events.k8s.io/v1` and what core `v1` calls them.
const EVENT_FIELDS: [(&str, &str); 6] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedSource", "source"),
];

/// Rewrites `object` between `kind`'s version and the one it is stored in.
pub(super) fn convert(kind: &Kind, object: &mut Value, to_storage: bool) {
    let Value::Object(map) = object else { return };
    match kind.kind.as_ref() {
        "Event" => rename_event(map, to_storage),
        "HorizontalPodAutoscaler" if to_storage => autoscaler_to_v2(map),
        "HorizontalPodAutoscaler" => autoscaler_to_v1(map),
        _ => {}
    }
    let stored = &kind.storage;
    let version = match (to_storage, stored.group.is_empty()) {
        (false, _) => kind.api_version(),
        (true, true) => stored.version.to_string(),
        (true, false) => format!("{}/{}", stored.group, stored.version),
    };
    map.insert("apiVersion".to_owned(), version.into());
}

fn rename_event(map: &mut Map<String, Value>, to_storage: bool) {
    for (events, core) in EVENT_FIELDS {
        let (from, to) = if to_storage { (events, core) } else { (core, events) };
        rename(map, from, to);
    }
    let (from, to) = if to_storage {
        ("reportingController", "reportingComponent")
    } else {
        ("reportingComponent", "reportingController")
    };
    rename(map, from, to);
    if let Some(Value::Object(series)) = map.get_mut("series") {
        series.retain(|key, _| matches!(key.as_str(), "count" | "lastObservedTime"));
    }
}

fn rename(map: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = map.remove(from) {
        map.insert(to.to_owned(), value);
    }
}

const CPU: &str = "targetCPUUtilizationPercentage";

fn autoscaler_to_v2(map: &mut Map<String, Value>) {
    let Some(Value::Object(spec)) = map.get_mut("spec") else { return };
    if let Some(percent) = spec.remove(CPU) {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
}

fn autoscaler_to_v1(map: &mut Map<String, Value>) {
    let Some(Value::Object(spec)) = map.get_mut("spec") else { return };
    let metrics = spec.remove("metrics").unwrap_or_default();
    let cpu = metrics.as_array().into_iter().flatten().find(|m| m["resource"]["name"] == "cpu");
    if let Some(percent) = cpu.map(|m| m["resource"]["target"]["averageUtilization"].clone()) {
        spec.insert(CPU.to_owned(), percent);
    }
}
