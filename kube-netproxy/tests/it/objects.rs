//! Services and slices in the notation of their manifests.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube_netproxy::{Config, Ruleset, compile};
use serde_json::{Value, json};

/// A service `default/web` with the given spec.
pub(crate) fn service(spec: Value) -> Service {
    named("web", spec)
}

pub(crate) fn named(name: &str, spec: Value) -> Service {
    let object = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
    serde_json::from_value(object).expect("a service")
}

/// A slice of `default/web` with ready endpoints on the node `here`, all at one port.
pub(crate) fn slice(protocol: &str, port: u16, addresses: &[&str]) -> EndpointSlice {
    let endpoints: Vec<_> =
        addresses.iter().map(|address| json!({"addresses": [address], "nodeName": "here"})).collect();
    slice_of("web", protocol, port, json!(endpoints))
}

pub(crate) fn slice_of(service: &str, protocol: &str, port: u16, endpoints: Value) -> EndpointSlice {
    let first = endpoints[0]["addresses"][0].as_str().unwrap_or_default();
    let object = json!({
        "metadata": {
            "name": format!("{service}-1"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": if first.contains(':') { "IPv6" } else { "IPv4" },
        "ports": [{"name": "", "protocol": protocol, "port": port}],
        "endpoints": endpoints,
    });
    serde_json::from_value(object).expect("a slice")
}

pub(crate) fn config() -> Config {
    Config {
        node_name: "here".into(),
        cluster_cidrs: vec![
            "10.0.0.0/16".parse().expect("a range"),
            "fd00:10::/32".parse().expect("a range"),
        ],
        ..Config::default()
    }
}

/// The rules for one service.
pub(crate) fn rules(service: &Service, slice: Option<&EndpointSlice>) -> Ruleset {
    compile([service], slice, &config())
}
