use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Compiler, compile};
use crate::{Config, Destination, Family, Frontend, FrontendKey, Masquerade, Protocol, Ruleset, Target};

fn service(name: &str, spec: Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})).unwrap()
}

fn slice(name: &str, service: &str, endpoints: Value) -> EndpointSlice {
    let object = json!({
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}, {"name": "dns", "protocol": "UDP", "port": 5353}],
        "endpoints": endpoints,
    });
    serde_json::from_value(object).unwrap()
}

fn config() -> Config {
    Config { node_name: "here".into(), ..Config::default() }
}

fn show(target: &Target) -> String {
    match target {
        Target::Balance(backends) => backends.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        Target::Reject => "reject".into(),
        Target::Drop => "drop".into(),
    }
}

fn show_frontend(key: &FrontendKey, frontend: &Frontend) -> String {
    let destination = match key.destination {
        Destination::Address(address) => address.to_string(),
        Destination::NodePort(Family::V4) => "node".into(),
        Destination::NodePort(Family::V6) => "node6".into(),
    };
    let mut line = format!("{destination} {:?} {} {}", key.protocol, key.port, show(&frontend.target));
    if let Some(local) = &frontend.local {
        line += &format!(" local {}", show(local));
    }
    if let Some(seconds) = frontend.affinity {
        line += &format!(" affinity {seconds}");
    }
    if frontend.masquerade == Masquerade::Always {
        line += " masquerade";
    }
    line
}

/// Compiles one service, `web`, with one slice and shows what comes out, a frontend a line.
#[track_caller]
fn check(spec: Value, endpoints: Value, expected: &[&str]) {
    let ruleset = compile([&service("web", spec)], [&slice("web-1", "web", endpoints)], &config());
    let shown: Vec<_> = ruleset.frontends().map(|(key, frontend)| show_frontend(key, frontend)).collect();
    assert_eq!(shown, expected);
}

/// Two endpoints, the second on this node.
fn two() -> Value {
    json!([{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"], "nodeName": "here"}])
}

fn http(more: Value) -> Value {
    let mut spec = json!({"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}]});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    spec
}

#[test]
fn ports_are_matched_by_name_and_protocol() {
    let ports = json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns", "port": 54}, {"name": "other", "port": 55}, {"name": "x", "port": 56, "protocol": "SMTP"}]);
    check(
        http(json!({"ports": ports})),
        json!([{"addresses": ["10.0.0.1"]}]),
        &[
            "10.96.0.1 Tcp 54 reject",
            "10.96.0.1 Tcp 55 reject",
            "10.96.0.1 Tcp 80 10.0.0.1:8080",
            "10.96.0.1 Udp 53 10.0.0.1:5353",
        ],
    );
}

#[test]
fn services_without_addresses_are_skipped() {
    check(http(json!({"clusterIP": "None"})), two(), &[]);
    check(json!({"type": "ExternalName", "externalName": "a.b", "ports": [{"port": 80}]}), two(), &[]);
    check(http(json!({"ports": null})), two(), &[]);
}

#[test]
fn only_usable_endpoints_are_used() {
    let endpoint = |n: u8, ready, serving, terminating| {
        json!({"addresses": [format!("10.0.0.{n}")],
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
    };
    let (ready, draining, dead) =
        (endpoint(1, true, true, false), endpoint(2, false, true, true), endpoint(3, false, false, true));
    let not_yet = endpoint(4, false, true, false);
    let check = |endpoints: Value, target: &str| {
        check(http(json!({})), endpoints, &[&format!("10.96.0.1 Tcp 80 {target}")])
    };
    check(json!([ready, draining, dead, not_yet]), "10.0.0.1:8080");
    check(json!([draining, dead, not_yet]), "10.0.0.2:8080");
    check(json!([dead, not_yet]), "reject");
    check(json!([]), "reject");
    check(json!([{"addresses": ["10.0.0.1"]}]), "10.0.0.1:8080");
    check(
        json!([{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.1"], "conditions": {"ready": false}}]),
        "10.0.0.1:8080",
    );
    check(json!([{"addresses": ["nonsense"]}, {"addresses": []}, {"addresses": ["fd00::1"]}]), "reject");
}

#[test]
fn outside_addresses_are_masqueraded() {
    check(
        http(json!({"type": "NodePort", "externalIPs": ["192.0.2.1"],
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}]})),
        two(),
        &[
            "10.96.0.1 Tcp 80 10.0.0.1:8080,10.0.0.2:8080",
            "192.0.2.1 Tcp 80 10.0.0.1:8080,10.0.0.2:8080 masquerade",
            "node Tcp 30080 10.0.0.1:8080,10.0.0.2:8080 masquerade",
        ],
    );
}

#[test]
fn local_policies_keep_traffic_on_the_node() {
    let node_port = json!([{"name": "http", "port": 80, "nodePort": 30080}]);
    let external = http(json!({"externalTrafficPolicy": "Local", "ports": node_port}));
    let both = "10.0.0.1:8080,10.0.0.2:8080";
    let expected = [format!("10.96.0.1 Tcp 80 {both}"), format!("node Tcp 30080 {both} local 10.0.0.2:8080")];
    check(external.clone(), two(), &expected.each_ref().map(String::as_str));
    let elsewhere = json!([{"addresses": ["10.0.0.1"], "nodeName": "there"}]);
    let one = ["10.96.0.1 Tcp 80 10.0.0.1:8080", "node Tcp 30080 10.0.0.1:8080 local drop"];
    check(external.clone(), elsewhere.clone(), &one);
    check(external, json!([]), &["10.96.0.1 Tcp 80 reject", "node Tcp 30080 reject local reject"]);

    let internal = http(json!({"internalTrafficPolicy": "Local"}));
    check(internal.clone(), two(), &["10.96.0.1 Tcp 80 10.0.0.2:8080"]);
    check(internal.clone(), elsewhere, &["10.96.0.1 Tcp 80 drop"]);
    check(internal, json!([]), &["10.96.0.1 Tcp 80 reject"]);
}

#[test]
fn affinity_has_a_time() {
    let affinity = http(json!({"sessionAffinity": "ClientIP"}));
    check(affinity, json!([]), &["10.96.0.1 Tcp 80 reject affinity 10800"]);
    let timed = http(
        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 7}}}),
    );
    check(timed, json!([]), &["10.96.0.1 Tcp 80 reject affinity 7"]);
}

#[test]
fn load_balancer_addresses_count_unless_they_are_proxies() {
    let mut balanced = service("web", http(json!({"type": "LoadBalancer"})));
    let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "Proxy"},
        {"ip": "192.0.2.3", "ipMode": "VIP"}, {"hostname": "lb.example"}]}});
    balanced.status = serde_json::from_value(status).unwrap();
    let ruleset = compile([&balanced], [], &config());
    let addresses: Vec<_> =
        ruleset.frontends().map(|(key, _)| key.destination.address().to_string()).collect();
    assert_eq!(addresses, ["10.96.0.1", "192.0.2.1", "192.0.2.3"]);
}

#[test]
fn each_family_has_its_own_endpoints() {
    let dual = service("web", http(json!({"clusterIPs": ["10.96.0.1", "fd00::1"]})));
    let mut six = slice("web-6", "web", json!([{"addresses": ["fd01::1"], "nodeName": "here"}]));
    six.address_type = "IPv6".into();
    let four = slice("web-4", "web", json!([{"addresses": ["10.0.0.1"]}]));
    let ruleset = compile([&dual], [&six, &four], &config());
    let shown: Vec<_> = ruleset.frontends().map(|(key, frontend)| show_frontend(key, frontend)).collect();
    assert_eq!(shown, ["10.96.0.1 Tcp 80 10.0.0.1:8080", "fd00::1 Tcp 80 [fd01::1]:8080"]);
    assert_eq!(ruleset.local_endpoints().map(ToString::to_string).collect::<Vec<_>>(), ["fd01::1"]);
}

#[test]
fn other_proxies_objects_are_left_alone() {
    for label in ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"] {
        let mut web = service("web", http(json!({})));
        let mut compiler = Compiler::new(config());
        compiler.set_service(web.clone());
        assert_eq!(compiler.refresh().len(), 1);
        web.metadata.labels.get_or_insert_default().insert(label.into(), "x".into());
        compiler.set_service(web);
        assert!(compiler.refresh().is_empty(), "{label}");
    }
}

#[test]
fn the_first_name_has_a_disputed_address() {
    let claim = |name| service(name, http(json!({"clusterIP": "10.96.0.9"})));
    let key = FrontendKey {
        destination: Destination::Address("10.96.0.9".parse().unwrap()),
        protocol: Protocol::Tcp,
        port: 80,
    };
    let owner = |ruleset: &Ruleset| ruleset.frontend(&key).map(|frontend| Arc::clone(&frontend.service));
    let mut compiler = Compiler::new(config());
    for name in ["b", "a", "c"] {
        compiler.set_service(claim(name));
        compiler.refresh();
    }
    assert_eq!(owner(compiler.ruleset()).as_deref(), Some("default/a:http"));
    compiler.remove_service("default/a");
    assert_eq!(owner(compiler.refresh()).as_deref(), Some("default/b:http"));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Service(u8, u8, bool),
    NoService(u8),
    Slice(u8, u8, Vec<u8>),
    NoSlice(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, 0..3_u8, any::<bool>())
            .prop_map(|(name, address, local)| Step::Service(name, address, local)),
        (0..4_u8).prop_map(Step::NoService),
        (0..6_u8, 0..4_u8, proptest::collection::vec(0..8_u8, 0..5))
            .prop_map(|(n, owner, hosts)| Step::Slice(n, owner, hosts)),
        (0..6_u8).prop_map(Step::NoSlice),
    ]
}

fn make_service(name: u8, address: u8, local: bool) -> Service {
    let policy = if local { "Local" } else { "Cluster" };
    let ports = json!([{"name": "http", "port": 80, "nodePort": 30000 + u16::from(name)}]);
    service(
        &name.to_string(),
        http(
            json!({"clusterIP": format!("10.96.0.{address}"), "externalTrafficPolicy": policy, "ports": ports}),
        ),
    )
}

fn make_slice(name: u8, owner: u8, hosts: &[u8]) -> EndpointSlice {
    let endpoint = |host: &u8| json!({"addresses": [format!("10.0.0.{host}")], "nodeName": if host.is_multiple_of(2) { "here" } else { "there" }});
    slice(&name.to_string(), &owner.to_string(), json!(hosts.iter().map(endpoint).collect::<Vec<_>>()))
}

/// What a ruleset means, whatever way it came about.
fn meaning(ruleset: &Ruleset) -> (Vec<String>, Vec<std::net::IpAddr>) {
    let frontends = ruleset
        .frontends()
        .map(|(key, frontend)| format!("{} {}", frontend.service, show_frontend(key, frontend)));
    (frontends.collect(), ruleset.local_endpoints().copied().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A history ends where its last state, compiled at once and in any order, ends; and a dataplane that follows the journal
    /// holds the same as one that starts at the end.
    #[test]
    fn history_does_not_matter(steps in proptest::collection::vec(step(), 1..40), stride in 1..5_usize) {
        let mut compiler = Compiler::new(config());
        let (mut services, mut slices) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
        let mut mirror = std::collections::BTreeMap::new();
        let mut base = None;
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Service(name, address, local) => {
                    let service = make_service(*name, *address, *local);
                    services.insert(*name, service.clone());
                    compiler.set_service(service);
                }
                Step::NoService(name) => {
                    services.remove(name);
                    compiler.remove_service(&format!("default/{name}"));
                }
                Step::Slice(name, owner, hosts) => {
                    let slice = make_slice(*name, *owner, hosts);
                    slices.insert(*name, slice.clone());
                    compiler.set_slice(slice);
                }
                Step::NoSlice(name) => {
                    slices.remove(name);
                    compiler.remove_slice(&format!("default/{name}"));
                }
            }
            if at % stride == 0 || at + 1 == steps.len() {
                let ruleset = compiler.refresh();
                follow(&mut mirror, ruleset, base);
                base = Some(ruleset.version());
            }
        }
        let forward = compile(services.values(), slices.values(), &config());
        let backward = compile(services.values().rev(), slices.values().rev(), &config());
        prop_assert_eq!(meaning(&forward), meaning(&backward));
        prop_assert_eq!(meaning(&forward), meaning(compiler.ruleset()));
        prop_assert_eq!(&forward, compiler.ruleset());
        let expected: std::collections::BTreeMap<_, _> = forward.frontends().map(|(key, frontend)| (*key, frontend.clone())).collect();
        prop_assert_eq!(mirror, expected);
    }
}

fn follow(
    mirror: &mut std::collections::BTreeMap<FrontendKey, Arc<Frontend>>,
    ruleset: &Ruleset,
    base: Option<crate::Version>,
) {
    let keys: Vec<_> = match ruleset.changes_since(base) {
        crate::Changes::All => ruleset.frontends().map(|(key, _)| *key).collect(),
        crate::Changes::These(these) => these
            .into_iter()
            .filter_map(|change| match change {
                crate::Change::Frontend(key) => Some(key),
                crate::Change::LocalEndpoint(_) => None,
            })
            .collect(),
    };
    for key in keys {
        match ruleset.frontend(&key) {
            Some(frontend) => mirror.insert(key, frontend.clone()),
            None => mirror.remove(&key),
        };
    }
}
