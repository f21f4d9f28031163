//! The garbage collector over the fake API.

use super::cluster::{Cluster, Server, on_both};
use super::workloads::{is_rolled_out, web};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::json;
use std::time::Duration;

on_both!(
    in_background_dependents_follow_their_owner,
    in_foreground_nothing_is_lost_before_its_dependents,
    orphans_stay_and_forget_their_owner,
    an_object_lives_as_long_as_one_owner_does,
);

async fn running(server: Server) -> Cluster {
    let names = ["garbage-collector-controller", "deployment-controller", "replicaset-controller"];
    let cluster = Cluster::start(server, &names).await;
    cluster.run_pods();
    cluster.create::<Deployment>(web(2)).await;
    cluster.until("rolled out", || is_rolled_out(&cluster, 2)).await;
    cluster
}

async fn delete(cluster: &Cluster, policy: PropagationPolicy) {
    let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    cluster.api::<Deployment>().delete("web", &params).await.unwrap();
}

async fn count(cluster: &Cluster) -> [usize; 3] {
    let deployments = cluster.list::<Deployment>().await.len();
    [deployments, cluster.list::<ReplicaSet>().await.len(), cluster.list::<Pod>().await.len()]
}

async fn in_background_dependents_follow_their_owner(server: Server) {
    let cluster = running(server).await;
    delete(&cluster, PropagationPolicy::Background).await;
    assert!(cluster.list::<Pod>().await.len() == 2, "nobody has looked yet");
    cluster.until("all gone", || async { count(&cluster).await == [0, 0, 0] }).await;
}

async fn in_foreground_nothing_is_lost_before_its_dependents(server: Server) {
    let cluster = running(server).await;
    delete(&cluster, PropagationPolicy::Foreground).await;
    for _ in 0..600 {
        let [deployments, sets, pods] = count(&cluster).await;
        assert!(pods == 0 || sets == 1, "a set went before its pods");
        assert!(sets == 0 || deployments == 1, "the deployment went before its set");
        if deployments == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the deployment never went");
}

async fn orphans_stay_and_forget_their_owner(server: Server) {
    let cluster = running(server).await;
    delete(&cluster, PropagationPolicy::Orphan).await;
    cluster.until("the deployment is gone", || async { count(&cluster).await == [0, 1, 2] }).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(count(&cluster).await, [0, 1, 2]);
    let set = cluster.list::<ReplicaSet>().await.remove(0);
    assert!(set.metadata.owner_references.is_none_or(|owners| owners.is_empty()));
}

async fn an_object_lives_as_long_as_one_owner_does(server: Server) {
    let cluster = Cluster::start(server, &["garbage-collector-controller"]).await;
    let owner = |name: &str| json!({"metadata": {"name": name}});
    let first: ConfigMap = cluster.create(owner("first")).await;
    let second: ConfigMap = cluster.create(owner("second")).await;
    let reference = |map: &ConfigMap| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": map.metadata.name, "uid": map.metadata.uid});
    let owners = json!([reference(&first), reference(&second)]);
    cluster.create::<ConfigMap>(json!({"metadata": {"name": "child", "ownerReferences": owners}})).await;
    let absent = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "uid-never"}]);
    cluster.create::<ConfigMap>(json!({"metadata": {"name": "stray", "ownerReferences": absent}})).await;

    let maps = cluster.api::<ConfigMap>();
    cluster.until("the stray is gone", || async { maps.get_opt("stray").await.unwrap().is_none() }).await;
    maps.delete("first", &DeleteParams::default()).await.unwrap();
    cluster
        .until("the child forgets", || async {
            maps.get("child").await.unwrap().metadata.owner_references.is_some_and(|owners| owners.len() == 1)
        })
        .await;
    maps.delete("second", &DeleteParams::default()).await.unwrap();
    cluster.until("the child is gone", || async { maps.get_opt("child").await.unwrap().is_none() }).await;
}
