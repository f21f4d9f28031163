//! Nodes that fail, over the fake API.

use super::cluster::{Cluster, Server, on_both};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

on_both!(
    pods_of_a_silent_node_are_marked_and_evicted_and_the_node_may_return,
    if_all_nodes_fail_nothing_is_evicted,
    every_node_gets_its_own_network,
    pods_whose_node_is_gone_are_deleted_after_the_quarantine,
);

fn pod(name: &str, node: &str, seconds: u32) -> Value {
    let tolerate = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
    let tolerations = [tolerate("node.kubernetes.io/not-ready"), tolerate("node.kubernetes.io/unreachable")];
    json!({
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "tolerations": tolerations},
    })
}

async fn run(cluster: &Cluster, name: &str, node: &str, seconds: u32) {
    cluster.create::<Pod>(pod(name, node, seconds)).await;
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    cluster.api::<Pod>().patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

async fn ready(nodes: &Api<Node>, name: &str) -> (String, String) {
    let conditions = nodes.get(name).await.unwrap().status.unwrap().conditions.unwrap();
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
    (ready.status, ready.reason.unwrap_or_default())
}

fn taints(node: &Node) -> Vec<(String, String)> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.map(|taint| (taint.key.clone(), taint.effect.clone())).collect()
}

async fn pods_of_a_silent_node_are_marked_and_evicted_and_the_node_may_return(server: Server) {
    let cluster = Cluster::start(server, &["node-lifecycle-controller", "taint-eviction-controller"]).await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    cluster.create_node("alive").await;
    cluster.create_node("dead").await;
    cluster.keep_alive("alive");
    run(&cluster, "safe", "alive", 300).await;
    run(&cluster, "lost", "dead", 300).await;

    tokio::time::sleep(Duration::from_secs(35)).await;
    assert_eq!(ready(&nodes, "dead").await.0, "True");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(ready(&nodes, "dead").await, ("Unknown".into(), "NodeStatusUnknown".into()));
    assert_eq!(ready(&nodes, "alive").await.0, "True");
    let unreachable = "node.kubernetes.io/unreachable".to_owned();
    let expected = [(unreachable.clone(), "NoSchedule".to_owned()), (unreachable, "NoExecute".to_owned())];
    assert_eq!(taints(&nodes.get("dead").await.unwrap()), expected);
    let lost = cluster.api::<Pod>().get("lost").await.unwrap();
    let condition = lost.status.unwrap().conditions.unwrap().remove(0);
    assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("Ready", "False"));

    tokio::time::sleep(Duration::from_secs(280)).await;
    assert!(cluster.api::<Pod>().get("lost").await.unwrap().metadata.deletion_timestamp.is_none());
    tokio::time::sleep(Duration::from_secs(40)).await;
    let lost = cluster.api::<Pod>().get("lost").await.unwrap();
    assert!(lost.metadata.deletion_timestamp.is_some());
    assert!(
        lost.status
            .unwrap()
            .conditions
            .unwrap()
            .iter()
            .any(|c| c.reason.as_deref() == Some("DeletionByTaintManager"))
    );
    assert!(cluster.api::<Pod>().get("safe").await.unwrap().metadata.deletion_timestamp.is_none());

    cluster.keep_alive("dead");
    let body = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T01:00:00Z"}]}});
    nodes.patch_status("dead", &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(taints(&nodes.get("dead").await.unwrap()), []);
}

async fn if_all_nodes_fail_nothing_is_evicted(server: Server) {
    let cluster = Cluster::start(server, &["node-lifecycle-controller", "taint-eviction-controller"]).await;
    cluster.create_node("a").await;
    cluster.create_node("b").await;
    run(&cluster, "p", "a", 1).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    for name in ["a", "b"] {
        let node = nodes.get(name).await.unwrap();
        assert!(taints(&node).iter().all(|(_, effect)| effect == "NoSchedule"), "{name}");
        assert_eq!(taints(&node).len(), 1, "{name}");
    }
    assert!(cluster.api::<Pod>().get("p").await.unwrap().metadata.deletion_timestamp.is_none());
}

async fn every_node_gets_its_own_network(server: Server) {
    let cluster = Cluster::start(server, &["node-ipam-controller"]).await;
    for name in ["a", "b", "c"] {
        cluster.create_node(name).await;
    }
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let networks = || async {
        let all = nodes.list(&kube::api::ListParams::default()).await.unwrap().items;
        let mut networks: Vec<String> =
            all.iter().filter_map(|node| node.spec.as_ref()?.pod_cidr.clone()).collect();
        networks.sort();
        networks
    };
    cluster.until("three networks", || async { networks().await.len() == 3 }).await;
    assert_eq!(networks().await, ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]);
}

async fn pods_whose_node_is_gone_are_deleted_after_the_quarantine(server: Server) {
    let cluster = Cluster::start(server, &["pod-garbage-collector-controller"]).await;
    cluster.create_node("here").await;
    run(&cluster, "kept", "here", 300).await;
    run(&cluster, "orphan", "gone", 300).await;
    tokio::time::sleep(Duration::from_secs(35)).await;
    assert!(cluster.api::<Pod>().get_opt("orphan").await.unwrap().is_some());
    cluster
        .until("the orphan is gone", || async {
            cluster.api::<Pod>().get_opt("orphan").await.unwrap().is_none()
        })
        .await;
    assert!(cluster.api::<Pod>().get_opt("kept").await.unwrap().is_some());
    Api::<Node>::all(cluster.client.clone()).delete("here", &DeleteParams::default()).await.unwrap();
    cluster
        .until("so is the other", || async { cluster.api::<Pod>().get_opt("kept").await.unwrap().is_none() })
        .await;
}
