//! Services.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::endpoints::special_address;
use super::{Errors, PROTOCOLS, each, number, text};
use crate::field::FieldError;
use crate::kinds::{metadata, names};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: &[&str] = &["Cluster", "Local"];

pub(in crate::kinds) fn service(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let headless = text(spec, "clusterIP") == "None";
    let no_ports = spec.get("ports").and_then(Value::as_array).is_none_or(Vec::is_empty);
    let ty = text(spec, "type");
    if no_ports && !headless && ty != "ExternalName" {
        errors.add(FieldError::required("spec.ports", ""));
    }
    of_type(&mut errors, spec, ty, headless);
    ports(&mut errors, spec);
    errors.0.extend(metadata::labels(spec.get("selector"), "spec.selector"));
    errors.one_of(spec, "spec", "sessionAffinity", &["ClientIP", "None"]);
    affinity_timeout(&mut errors, spec);
    cluster_addresses(&mut errors, spec);
    for (path, address) in each(spec, "spec", "externalIPs") {
        special_address(&mut errors, address.as_str().unwrap_or_default(), &path);
    }
    errors.one_of(spec, "spec", "type", TYPES);
    node_ports(&mut errors, spec, ty);
    errors.one_of_if_given(spec, "spec", "internalTrafficPolicy", POLICIES);
    errors.one_of_if_given(spec, "spec", "externalTrafficPolicy", POLICIES);
    if spec.get("allocateLoadBalancerNodePorts").is_some() && ty != "LoadBalancer" {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        errors.add(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", detail));
    }
    errors.0
}

fn of_type(errors: &mut Errors, spec: &Value, ty: &str, headless: bool) {
    if headless && matches!(ty, "LoadBalancer" | "NodePort") {
        let detail = format!("may not be set to 'None' for {ty} services");
        errors.add(FieldError::invalid("spec.clusterIPs[0]", "None", detail));
    }
    if ty != "ExternalName" {
        return;
    }
    for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if spec.get(key).is_some_and(|v| !v.as_array().is_some_and(Vec::is_empty)) {
            let detail = "may not be set for ExternalName services";
            errors.add(FieldError::forbidden(format!("spec.{key}"), detail));
        }
    }
    let name = text(spec, "externalName");
    if errors.required(spec, "spec", "externalName") {
        let complaints = names::dns1123_subdomain(name.strip_suffix('.').unwrap_or(name));
        errors.complaints("spec.externalName", &name.into(), complaints);
    }
}

fn ports(errors: &mut Errors, spec: &Value) {
    let many = spec.get("ports").and_then(Value::as_array).is_some_and(|p| p.len() > 1);
    let mut seen = BTreeSet::new();
    for (path, port) in each(spec, "spec", "ports") {
        let name = text(port, "name");
        if name.is_empty() {
            if many {
                errors.add(FieldError::required(format!("{path}.name"), ""));
            }
        } else {
            errors.complaints(&format!("{path}.name"), &name.into(), names::dns1123_label(name));
            if !seen.insert(name) {
                errors.add(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        let n = number(port, "port").unwrap_or_default();
        errors.complaints(&format!("{path}.port"), &n.into(), names::port_number(n));
        errors.one_of(port, &path, "protocol", PROTOCOLS);
        errors.port_or_name(port.get("targetPort").unwrap_or(&Value::Null), &format!("{path}.targetPort"));
        let protocol = text(port, "appProtocol");
        if !protocol.is_empty() {
            errors.complaints(&format!("{path}.appProtocol"), &protocol.into(), names::label_key(protocol));
        }
    }
}

fn affinity_timeout(errors: &mut Errors, spec: &Value) {
    let timeout = spec.pointer("/sessionAffinityConfig/clientIP/timeoutSeconds").and_then(Value::as_i64);
    if let Some(timeout) = timeout.filter(|t| !(1..=86_400).contains(t)) {
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        errors.add(FieldError::invalid(path, timeout, "must be greater than 0 and less than 86400"));
    }
}

fn cluster_addresses(errors: &mut Errors, spec: &Value) {
    let first = spec.pointer("/clusterIPs/0").and_then(Value::as_str).unwrap_or_default();
    let address = text(spec, "clusterIP");
    if !first.is_empty() && first != address {
        let value = spec.get("clusterIPs").cloned().unwrap_or_default();
        errors.add(FieldError::invalid("spec.clusterIPs", value, "first value must match `clusterIP`"));
    }
    for (path, value) in each(spec, "spec", "clusterIPs") {
        let address = value.as_str().unwrap_or_default();
        if address != "None" && address.parse::<IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.add(FieldError::invalid(path, address, detail));
        }
    }
}

fn node_ports(errors: &mut Errors, spec: &Value, ty: &str) {
    let (mut nodes, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let mut duplicates = Vec::new();
    for (path, port) in each(spec, "spec", "ports") {
        let protocol = text(port, "protocol");
        if let Some(node) = number(port, "nodePort").filter(|p| *p != 0) {
            if ty == "ClusterIP" {
                let detail = "may not be used when `type` is 'ClusterIP'";
                errors.add(FieldError::forbidden(format!("{path}.nodePort"), detail));
            }
            if !nodes.insert((protocol, node)) {
                errors.add(FieldError::duplicate(format!("{path}.nodePort"), node));
            }
        }
        let number = number(port, "port").unwrap_or_default();
        if !taken.insert((protocol, number)) {
            duplicates.push(FieldError::duplicate(path, json!({"port": number, "protocol": protocol})));
        }
    }
    errors.0.extend(duplicates);
}

/// Addresses stay as long as the service has any.
pub(in crate::kinds) fn service_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = |object: &'_ Value| object.get("spec").cloned().unwrap_or_default();
    let (now, then) = (spec(new), spec(old));
    let external = text(&now, "type") == "ExternalName" || text(&then, "type") == "ExternalName";
    let (before, after) = (text(&then, "clusterIP"), text(&now, "clusterIP"));
    if !external && !before.is_empty() && before != after {
        let value = now.get("clusterIPs").cloned().unwrap_or_default();
        errors.add(FieldError::invalid("spec.clusterIPs[0]", value, "may not change once set"));
    }
    errors.0
}
