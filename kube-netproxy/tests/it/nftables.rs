//! The nftables dataplane, with real traffic.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use kube_netproxy::testing::dataplane_suite;
use kube_netproxy::{Dataplane, Nftables, Ruleset};
use serde_json::json;

use crate::network::{NetNs, Network, ask, ask_udp, udp};
use crate::objects::{config, rules, service, slice, slice_of};

const VIP: &str = "10.96.0.10:80";
const PODS: [&str; 3] = ["10.0.1.2", "10.0.2.2", "10.0.3.2"];

fn dataplane(node: &NetNs) -> Nftables {
    node.run(|| Nftables::new(config()).expect("netlink"))
}

fn web() -> Ruleset {
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}));
    rules(&web, Some(&slice("TCP", 8080, &PODS)))
}

fn spread(from: &NetNs, target: &str, times: usize) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts.entry(ask(from, target).expect("an answer").0).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn root_cluster_ip_spreads_over_endpoints() {
    let Some(network) = Network::new(3) else { return };
    network.serve(8080);
    let dataplane = dataplane(&network.node);
    dataplane.apply(&web()).await.expect("applied");

    let counts = spread(&network.pods[0], VIP, 90);
    assert_eq!(counts.len(), 3, "{counts:?}");
    // Each count is binomial with mean 30 and deviation 4.5.
    assert!(counts.values().all(|count| *count > 5), "{counts:?}");
    assert_eq!(spread(&network.node, VIP, 90).len(), 3);
}

#[tokio::test]
async fn root_endpoint_reaches_itself_through_the_service() {
    let Some(network) = Network::new(1) else { return };
    network.serve(8080);
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}));
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, Some(&slice("TCP", 8080, &PODS[..1])))).await.expect("applied");
    // The pod sees the node's address, or the answer would not come back through the node.
    assert_eq!(ask(&network.pods[0], VIP).expect("an answer"), (1, "10.0.1.1".parse().expect("an address")));
}

#[tokio::test]
async fn root_sources_outside_of_the_cluster_are_masqueraded() {
    let Some(network) = Network::new(2) else { return };
    network.serve(8080);
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}));
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, Some(&slice("TCP", 8080, &PODS[1..2])))).await.expect("applied");
    let source = |from| ask(from, VIP).expect("an answer").1.to_string();
    assert_eq!(source(&network.client), "10.0.2.1");
    assert_eq!(source(&network.pods[0]), "10.0.1.2");
}

#[tokio::test]
async fn root_node_port_answers_outside_but_not_on_loopback() {
    let Some(network) = Network::new(2) else { return };
    network.serve(8080);
    let web = service(json!({"type": "NodePort", "clusterIP": "10.96.0.10", "externalIPs": ["192.168.77.7"],
        "ports": [{"port": 80, "nodePort": 30080}]}));
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, Some(&slice("TCP", 8080, &PODS[1..2])))).await.expect("applied");

    let (pod, source) = ask(&network.client, "192.168.9.1:30080").expect("an answer");
    assert_eq!((pod, source.to_string()), (2, "10.0.2.1".to_owned()));
    assert_eq!(ask(&network.pods[0], "10.0.1.1:30080").expect("an answer").0, 2);
    assert_eq!(ask(&network.node, "192.168.9.1:30080").expect("an answer").0, 2);
    assert_eq!(ask(&network.client, "192.168.77.7:80").expect("an answer").0, 2);
    let refused = ask(&network.node, "127.0.0.1:30080").expect_err("loopback is not served");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn root_external_policy_local_keeps_the_source_and_stays_on_the_node() {
    let Some(network) = Network::new(3) else { return };
    network.serve(8080);
    let web =
        service(json!({"type": "NodePort", "clusterIP": "10.96.0.10", "externalTrafficPolicy": "Local",
        "ports": [{"port": 80, "nodePort": 30080}]}));
    let endpoints = json!([
        {"addresses": ["10.0.1.2"], "nodeName": "elsewhere"},
        {"addresses": ["10.0.2.2"], "nodeName": "here"},
    ]);
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, Some(&slice_of("web", "TCP", 8080, endpoints)))).await.expect("applied");

    for _ in 0..10 {
        let (pod, source) = ask(&network.client, "192.168.9.1:30080").expect("an answer");
        assert_eq!((pod, source.to_string()), (2, "192.168.9.2".to_owned()));
    }
    assert_eq!(spread(&network.pods[2], "10.0.3.1:30080", 40).len(), 2);
    assert_eq!(spread(&network.node, "192.168.9.1:30080", 40).len(), 2);

    let endpoints = json!([{"addresses": ["10.0.1.2"], "nodeName": "elsewhere"}]);
    dataplane.apply(&rules(&web, Some(&slice_of("web", "TCP", 8080, endpoints)))).await.expect("applied");
    let dropped = ask(&network.client, "192.168.9.1:30080").expect_err("no endpoint here");
    assert_eq!(dropped.kind(), ErrorKind::TimedOut);
    assert_eq!(ask(&network.pods[1], "10.0.2.1:30080").expect("an answer").0, 1);
}

#[tokio::test]
async fn root_without_endpoints_connections_are_refused() {
    let Some(network) = Network::new(1) else { return };
    let web = service(json!({"type": "NodePort", "clusterIP": "10.96.0.10",
        "ports": [{"name": "", "port": 80, "nodePort": 30080}, {"name": "u", "port": 80, "protocol": "UDP"}]}));
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, None)).await.expect("applied");
    for from in [&network.node, &network.pods[0], &network.client] {
        let refused = ask(from, VIP).expect_err("nobody there");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    let refused = ask(&network.client, "192.168.9.1:30080").expect_err("nobody there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let refused = ask_udp(&udp(&network.pods[0], VIP)).expect_err("nobody there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn root_a_client_keeps_its_endpoint_as_long_as_it_serves() {
    let Some(network) = Network::new(3) else { return };
    network.serve(8080);
    let web =
        service(json!({"clusterIP": "10.96.0.10", "sessionAffinity": "ClientIP", "ports": [{"port": 80}]}));
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, Some(&slice("TCP", 8080, &PODS)))).await.expect("applied");
    let counts = spread(&network.client, VIP, 20);
    assert_eq!(counts.len(), 1, "{counts:?}");

    let chosen = *counts.keys().next().expect("one endpoint");
    let left: Vec<_> = PODS.into_iter().filter(|pod| *pod != PODS[chosen - 1]).collect();
    dataplane.apply(&rules(&web, Some(&slice("TCP", 8080, &left)))).await.expect("applied");
    let after = spread(&network.client, VIP, 20);
    assert!(after.len() == 1 && !after.contains_key(&chosen), "{after:?}");

    // It does not go back when its first endpoint does, and others are not bound to its choice.
    dataplane.apply(&rules(&web, Some(&slice("TCP", 8080, &PODS)))).await.expect("applied");
    assert_eq!(spread(&network.client, VIP, 20).keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn root_affinity_ends_after_its_time() {
    let Some(network) = Network::new(3) else { return };
    network.serve(8080);
    let web =
        service(json!({"clusterIP": "10.96.0.10", "sessionAffinity": "ClientIP", "ports": [{"port": 80}],
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}}}));
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, Some(&slice("TCP", 8080, &PODS)))).await.expect("applied");
    let mut seen = BTreeMap::new();
    for _ in 0..20 {
        seen.insert(ask(&network.client, VIP).expect("an answer").0, ());
        if seen.len() > 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    }
    panic!("the same endpoint, twenty times, after its time: {seen:?}");
}

#[tokio::test]
async fn root_udp_clients_leave_an_endpoint_that_is_gone() {
    let Some(network) = Network::new(2) else { return };
    network.serve(5353);
    let dns = service(json!({"type": "NodePort", "clusterIP": "10.96.0.10",
        "ports": [{"port": 53, "protocol": "UDP", "nodePort": 30053}]}));
    let mut ruleset = rules(&dns, Some(&slice("UDP", 5353, &PODS[..2])));
    let dataplane = dataplane(&network.node);
    dataplane.apply(&ruleset).await.expect("applied");
    let sockets = [udp(&network.client, "10.96.0.10:53"), udp(&network.client, "192.168.9.1:30053")];
    for socket in &sockets {
        let (pod, _) = ask_udp(socket).expect("an answer");
        for _ in 0..5 {
            assert_eq!(ask_udp(socket).expect("an answer").0, pod, "a connection stays where it is");
        }
        let left = PODS[2 - pod];
        let fewer = rules(&dns, Some(&slice("UDP", 5353, &[left])));
        ruleset.set("default/web", fewer.service("default/web").cloned());
        dataplane.apply(&ruleset).await.expect("applied");
        assert_eq!(ask_udp(socket).expect("an answer").0, 3 - pod);
        let both = rules(&dns, Some(&slice("UDP", 5353, &PODS[..2])));
        ruleset.set("default/web", both.service("default/web").cloned());
        dataplane.apply(&ruleset).await.expect("applied");
    }
}

#[tokio::test]
async fn root_ipv6_services_work_the_same() {
    let Some(network) = Network::new(2) else { return };
    network.serve(8080);
    let web = service(json!({"type": "NodePort", "clusterIP": "fd00:96::10", "sessionAffinity": "ClientIP",
        "ports": [{"port": 80, "nodePort": 30080}]}));
    let both = slice("TCP", 8080, &["fd00:10:1::2", "fd00:10:2::2"]);
    let dataplane = dataplane(&network.node);
    dataplane.apply(&rules(&web, Some(&both))).await.expect("applied");
    let counts = spread(&network.client, "[fd00:96::10]:80", 10);
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert!(ask(&network.client, "[fd00:9:0::1]:30080").is_ok());
    let itself = slice("TCP", 8080, &["fd00:10:1::2"]);
    dataplane.apply(&rules(&web, Some(&itself))).await.expect("applied");
    assert_eq!(ask(&network.pods[0], "[fd00:96::10]:80").expect("an answer").1.to_string(), "fd00:10:1::1");
    dataplane.apply(&rules(&web, None)).await.expect("applied");
    assert_eq!(
        ask(&network.client, "[fd00:96::10]:80").expect_err("nobody").kind(),
        ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn root_changes_cost_what_they_change() {
    let Some(network) = Network::new(3) else { return };
    network.serve(8080);
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}));
    let of = |addresses: &[&str]| {
        rules(&web, Some(&slice("TCP", 8080, addresses))).service("default/web").cloned()
    };
    let mut ruleset = Ruleset::default();
    let dataplane = dataplane(&network.node);
    let mut cost = async |pods: &[&str]| {
        ruleset.set("default/web", of(pods));
        let applied = dataplane.apply(&ruleset).await.expect("applied");
        let answered: Vec<_> = spread(&network.client, VIP, 40).into_keys().collect();
        (applied.rebuilt, applied.removed, applied.added, answered)
    };
    // Chain, service, two endpoints and two hairpins.
    assert_eq!(cost(&PODS[..2]).await, (true, 0, 6, vec![1, 2]));
    assert_eq!(cost(&PODS[..2]).await, (false, 0, 0, vec![1, 2]));
    // One endpoint for another: its slot and its hairpin.
    assert_eq!(cost(&PODS[1..]).await, (false, 2, 2, vec![2, 3]));
    // One more: its slot and hairpin, and the service goes to a chain that is new.
    assert_eq!(cost(&PODS).await, (false, 1, 4, vec![1, 2, 3]));
    assert_eq!(cost(&PODS[1..]).await, (false, 3, 1, vec![2, 3]));
}

#[tokio::test]
async fn root_tables_survive_the_value_but_not_cleanup_nor_others() {
    let Some(network) = Network::new(3) else { return };
    network.serve(8080);
    let first = dataplane(&network.node);
    first.apply(&web()).await.expect("applied");
    drop(first);
    assert!(ask(&network.client, VIP).is_ok());

    // A new process starts from nothing, in one step.
    let second = dataplane(&network.node);
    let mut ruleset = web();
    assert!(second.apply(&ruleset).await.expect("applied").rebuilt);
    assert!(ask(&network.client, VIP).is_ok());

    // Somebody else removes our table: the next change heals it.
    dataplane(&network.node).cleanup().await.expect("cleaned");
    assert!(ask(&network.client, VIP).is_err());
    let other = rules(&service(json!({"clusterIP": "10.96.0.11", "ports": [{"port": 80}]})), None);
    ruleset.set("default/other", other.service("default/web").cloned());
    assert!(second.apply(&ruleset).await.expect("applied").rebuilt);
    assert!(ask(&network.client, VIP).is_ok());

    second.cleanup().await.expect("cleaned");
    second.cleanup().await.expect("cleaning twice is no error");
    assert!(ask(&network.client, VIP).is_err());
    if std::process::Command::new("nft").arg("--version").output().is_ok() {
        assert_eq!(network.node.sh("nft list ruleset"), "");
    } else {
        let skipped = b"SKIPPED: no nft program to look at what is left\n";
        std::io::Write::write_all(&mut std::io::stderr(), skipped).unwrap();
    }
}

#[tokio::test]
async fn root_passes_the_suite() {
    let Some(network) = Network::new(0) else { return };
    dataplane_suite(&dataplane(&network.node)).await;
}
