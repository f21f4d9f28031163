//! Services.

use serde_json::{Map, Value, json};

use super::{Rules, list, object_at, text};
use crate::kinds::validate::service::{service, service_update};

pub(super) fn rules() -> Rules {
    Rules { default, create, update, validate: service, validate_update: service_update, ..Rules::NONE }
}

fn default(service: &mut Value) {
    for port in service.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let number = port.get("port").cloned();
        if let (Value::Object(port), Some(number)) = (port, number)
            && port.get("targetPort").is_none_or(|t| t == "" || t == 0)
        {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let unaffine = text(service, "/spec/sessionAffinity") == "None";
    if let (true, Some(Value::Object(spec))) = (unaffine, service.get_mut("spec")) {
        spec.remove("sessionAffinityConfig");
    }
}

/// A new service has no load balancer yet; addresses are allocated afterwards.
fn create(service: &mut Value) {
    if let Value::Object(map) = &mut *service {
        map.insert("status".to_owned(), json!({"loadBalancer": {}}));
    }
    mirror_address(service);
}

/// `clusterIP` is the first of `clusterIPs`; either may be given. Families follow, unless there are no addresses at all.
fn mirror_address(service: &mut Value) {
    let external = text(service, "/spec/type") == "ExternalName";
    let Some(spec) = object_at(service, &["spec"]) else { return };
    let address = spec.get("clusterIP").and_then(Value::as_str).filter(|a| !a.is_empty()).map(str::to_owned);
    let first = spec.get("clusterIPs").and_then(|l| l.get(0)).and_then(Value::as_str).map(str::to_owned);
    match (address, first) {
        (Some(address), None) => {
            spec.insert("clusterIPs".to_owned(), json!([address]));
        }
        (None, Some(first)) => {
            spec.insert("clusterIP".to_owned(), first.into());
        }
        _ => {}
    }
    if !external {
        spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
        let family = if text_of(spec, "clusterIP").contains(':') { "IPv6" } else { "IPv4" };
        spec.entry("ipFamilies").or_insert_with(|| json!([family]));
    }
}

fn text_of<'m>(map: &'m Map<String, Value>, key: &str) -> &'m str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What was allocated stays when an update leaves it out, as `kubectl replace` does.
fn update(new: &mut Value, old: &Value) {
    let (now, then) = (text(new, "/spec/type").to_owned(), text(old, "/spec/type"));
    if now == "ExternalName" || then == "ExternalName" {
        return mirror_address(new);
    }
    let keeps_ports = matches!(now.as_str(), "NodePort" | "LoadBalancer");
    let Some(spec) = object_at(new, &["spec"]) else { return };
    if text_of(spec, "clusterIP").is_empty() && spec.get("clusterIPs").is_none_or(|l| l == &json!([])) {
        for key in ["clusterIP", "clusterIPs"] {
            if let Some(value) = old.pointer(&format!("/spec/{key}")) {
                spec.insert(key.to_owned(), value.clone());
            }
        }
    }
    for key in ["ipFamilies", "ipFamilyPolicy"] {
        if let (None, Some(value)) = (spec.get(key), old.pointer(&format!("/spec/{key}"))) {
            spec.insert(key.to_owned(), value.clone());
        }
    }
    if keeps_ports {
        keep_node_ports(spec, old);
    }
    mirror_address(new);
}

fn keep_node_ports(spec: &mut Map<String, Value>, old: &Value) {
    let before = list(old, "/spec/ports");
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        let same =
            |p: &&Value| p.get("port") == port.get("port") && p.get("protocol") == port.get("protocol");
        let node_port = before.iter().find(same).and_then(|p| p.get("nodePort")).cloned();
        if let (None, Some(node_port)) = (port.get("nodePort").filter(|p| **p != 0), node_port) {
            port.insert("nodePort".to_owned(), node_port);
        }
    }
}
