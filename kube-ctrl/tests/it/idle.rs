//! A cluster with nothing to do.

use super::cluster::{Cluster, Server, on_both};
use super::workloads::{is_rolled_out, web};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, ListParams};
use serde_json::json;
use std::time::Duration;

on_both!(hours_without_changes_are_hours_without_writes);

/// The store's revision, which every write raises.
async fn revision(cluster: &Cluster) -> u64 {
    let list = Api::<Pod>::all(cluster.client.clone()).list(&ListParams::default()).await.unwrap();
    list.metadata.resource_version.unwrap().parse().unwrap()
}

async fn hours_without_changes_are_hours_without_writes(server: Server) {
    let cluster = Cluster::start(server, &["*"]).await;
    cluster.create_node("node-1").await;
    cluster.keep_alive("node-1");
    let agent = cluster.run_pods();
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    cluster.create::<Service>(service).await;
    cluster.create::<Deployment>(web(3)).await;
    cluster.until("rolled out", || is_rolled_out(&cluster, 3)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;

    agent.abort();
    let before = revision(&cluster).await;
    let hours = 6;
    tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
    let renewals = hours * 360;
    // Events expire meanwhile, which the real store counts as writes too.
    let events = cluster.events().await.len() as u64;
    let written = revision(&cluster).await - before;
    assert!(written <= renewals + 64, "{written} writes, {renewals} of them by the node, {events} events");
    assert!(is_rolled_out(&cluster, 3).await);
}
