//! Endpoints and endpoint slices.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::{Errors, PROTOCOLS, each, number, text};
use crate::field::FieldError;
use crate::kinds::names;

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;

/// An address that traffic may be sent to: not this machine, not the link, not a group.
pub(super) fn special_address(errors: &mut Errors, text: &str, path: &str) {
    let Ok(address) = text.parse::<IpAddr>() else {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.add(FieldError::invalid(path, text, detail));
        return;
    };
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let link_multicast = match address {
        IpAddr::V4(v4) => matches!(v4.octets(), [224, 0, 0, _]),
        IpAddr::V6(v6) => v6.segments().first().is_some_and(|s| s & 0xff0f == 0xff02),
    };
    let details = [
        (address.is_unspecified(), format!("may not be unspecified ({text})")),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    for (_, detail) in details.into_iter().filter(|(wrong, _)| *wrong) {
        errors.add(FieldError::invalid(path, text, detail));
    }
}

pub(in crate::kinds) fn endpoints(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    for (path, subset) in each(object, "", "subsets") {
        let count = |key: &str| subset.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        if count("addresses") + count("notReadyAddresses") == 0 {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            errors.add(FieldError::required(path.clone(), detail));
        }
        for key in ["addresses", "notReadyAddresses"] {
            for (path, address) in each(subset, &path, key) {
                special_address(&mut errors, text(address, "ip"), &format!("{path}.ip"));
                hostname(&mut errors, address, &path);
            }
        }
        let many = count("ports") > 1;
        for (path, port) in each(subset, &path, "ports") {
            let name = text(port, "name");
            if name.is_empty() {
                if many {
                    errors.add(FieldError::required(format!("{path}.name"), ""));
                }
            } else {
                errors.complaints(&format!("{path}.name"), &name.into(), names::dns1123_label(name));
            }
            let n = number(port, "port").unwrap_or_default();
            errors.complaints(&format!("{path}.port"), &n.into(), names::port_number(n));
            errors.one_of(port, &path, "protocol", PROTOCOLS);
        }
    }
    errors.0
}

fn hostname(errors: &mut Errors, holder: &Value, path: &str) {
    let name = text(holder, "hostname");
    if !name.is_empty() {
        errors.complaints(&format!("{path}.hostname"), &name.into(), names::dns1123_label(name));
    }
    let node = text(holder, "nodeName");
    if !node.is_empty() {
        errors.complaints(&format!("{path}.nodeName"), &node.into(), names::dns1123_subdomain(node));
    }
}

pub(in crate::kinds) fn endpoint_slice(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let family = text(object, "addressType");
    if family.is_empty() {
        errors.add(FieldError::required("addressType", ""));
    } else if !["FQDN", "IPv4", "IPv6"].contains(&family) {
        errors.add(FieldError::not_supported("addressType", family, &["FQDN", "IPv4", "IPv6"]));
    }
    slice_ports(&mut errors, object);
    let count = object.get("endpoints").and_then(Value::as_array).map_or(0, Vec::len);
    if count > MAX_ENDPOINTS {
        errors.add(FieldError::too_many("endpoints", count, MAX_ENDPOINTS));
        return errors.0;
    }
    for (path, endpoint) in each(object, "", "endpoints") {
        addresses(&mut errors, endpoint, &path, family);
        hostname(&mut errors, endpoint, &path);
    }
    errors.0
}

fn addresses(errors: &mut Errors, endpoint: &Value, path: &str, family: &str) {
    let base = format!("{path}.addresses");
    match endpoint.get("addresses").and_then(Value::as_array).map_or(0, Vec::len) {
        0 => errors.add(FieldError::required(base, "must contain at least 1 address")),
        n if n > MAX_ADDRESSES => errors.add(FieldError::too_many(base, n, MAX_ADDRESSES)),
        _ => {
            for (path, address) in each(endpoint, path, "addresses") {
                let address = address.as_str().unwrap_or_default();
                let parsed = address.parse::<IpAddr>();
                match (family, parsed) {
                    ("FQDN", _) => {
                        errors.complaints(&path, &address.into(), names::dns1123_subdomain(address))
                    }
                    ("IPv4", Ok(IpAddr::V6(_))) => {
                        errors.add(FieldError::invalid(path, address, "must be an IPv4 address"));
                    }
                    ("IPv6", Ok(IpAddr::V4(_))) => {
                        errors.add(FieldError::invalid(path, address, "must be an IPv6 address"));
                    }
                    _ => special_address(errors, address, &path),
                }
            }
        }
    }
}

fn slice_ports(errors: &mut Errors, object: &Value) {
    let count = object.get("ports").and_then(Value::as_array).map_or(0, Vec::len);
    if count > MAX_PORTS {
        errors.add(FieldError::too_many("ports", count, MAX_PORTS));
        return;
    }
    let mut seen = BTreeSet::new();
    for (path, port) in each(object, "", "ports") {
        let name = text(port, "name");
        if !name.is_empty() {
            errors.complaints(&format!("{path}.name"), &name.into(), names::dns1123_label(name));
        }
        if !seen.insert(name) {
            errors.add(FieldError::duplicate(format!("{path}.name"), name));
        }
        errors.one_of(port, &path, "protocol", PROTOCOLS);
    }
}

pub(in crate::kinds) fn endpoint_slice_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.immutable(new, old, "addressType");
    errors.0
}
