//! Deployments, sets and services over the fake API.

use super::cluster::{Cluster, Server, on_both};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::collections::BTreeSet;

on_both!(
    a_deployment_comes_up_and_says_so,
    an_update_rolls_and_undo_takes_the_old_set_again,
    scaling_replacing_and_recreating,
    a_stuck_rollout_times_out,
    a_service_follows_its_pods,
);

pub(crate) fn web(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "demo:1", "ports": [{"name": "http", "containerPort": 8080}]}]},
            },
        },
    })
}

fn image(tag: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": tag}]}}}})
}

pub(crate) async fn is_rolled_out(cluster: &Cluster, replicas: i32) -> bool {
    let deployment = cluster.deployment().await;
    let status = deployment.status.unwrap_or_default();
    let counts = [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
    status.observed_generation == deployment.metadata.generation && counts == [Some(replicas); 4]
}

async fn slices(cluster: &Cluster) -> Vec<EndpointSlice> {
    let mut slices: Vec<EndpointSlice> = cluster.list().await;
    slices.retain(|slice| slice.metadata.name.as_ref().unwrap().starts_with("web-"));
    slices
}

const WORKLOADS: [&str; 4] =
    ["deployment-controller", "replicaset-controller", "endpointslice-controller", "endpoints-controller"];

async fn a_deployment_comes_up_and_says_so(server: Server) {
    let cluster = Cluster::start(server, &WORKLOADS).await;
    cluster.run_pods();
    cluster.create::<Deployment>(web(3)).await;
    cluster.until("rolled out", || is_rolled_out(&cluster, 3)).await;

    let deployment = cluster.deployment().await;
    assert_eq!(deployment.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"], "1");
    let set = cluster.list::<ReplicaSet>().await.remove(0).metadata.name.unwrap();
    cluster
        .until("complete", || async {
            let conditions = cluster.deployment().await.status.unwrap().conditions.unwrap();
            conditions.iter().any(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"))
        })
        .await;
    let conditions = cluster.deployment().await.status.unwrap().conditions.unwrap();
    let said: BTreeSet<_> =
        conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.message.clone().unwrap())).collect();
    let expected = [
        ("Available".to_owned(), "True".to_owned(), "Deployment has minimum availability.".to_owned()),
        (
            "Progressing".to_owned(),
            "True".to_owned(),
            format!("ReplicaSet \"{set}\" has successfully progressed."),
        ),
    ];
    assert_eq!(said, BTreeSet::from(expected));

    let pods: Vec<Pod> = cluster.list().await;
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| pod.metadata.name.as_ref().unwrap().starts_with(&format!("{set}-"))));
    let events = cluster.events().await;
    assert!(
        events.contains(&format!("ScalingReplicaSet Scaled up replica set {set} from 0 to 3")),
        "{events:?}"
    );
    assert_eq!(
        events.iter().filter(|event| event.starts_with("SuccessfulCreate Created pod: web-")).count(),
        3
    );
}

async fn an_update_rolls_and_undo_takes_the_old_set_again(server: Server) {
    let cluster = Cluster::start(server, &WORKLOADS).await;
    cluster.run_pods();
    cluster.create::<Deployment>(web(4)).await;
    cluster.until("rolled out", || is_rolled_out(&cluster, 4)).await;

    cluster.patch_deployment(image("demo:2")).await;
    cluster.until("updated", || is_rolled_out(&cluster, 4)).await;
    assert_eq!(cluster.sizes().await, [("1".into(), 0), ("2".into(), 4)]);

    cluster.patch_deployment(image("demo:1")).await;
    cluster.until("updated again", || is_rolled_out(&cluster, 4)).await;
    assert_eq!(cluster.sizes().await.last(), Some(&("3".into(), 4)));

    cluster.patch_deployment(image("demo:2")).await;
    cluster.until("undone", || is_rolled_out(&cluster, 4)).await;
    let sets: Vec<ReplicaSet> = cluster.list().await;
    let current = sets.iter().find(|set| set.spec.as_ref().unwrap().replicas == Some(4)).unwrap();
    let annotations = current.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "4");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "2");
}

async fn scaling_replacing_and_recreating(server: Server) {
    let cluster = Cluster::start(server, &WORKLOADS).await;
    cluster.run_pods();
    cluster.create::<Deployment>(web(2)).await;
    cluster.until("rolled out", || is_rolled_out(&cluster, 2)).await;

    cluster.patch_deployment(json!({"spec": {"replicas": 5}})).await;
    cluster.until("scaled up", || is_rolled_out(&cluster, 5)).await;
    let victim = cluster.list::<Pod>().await.remove(0).metadata.name.unwrap();
    cluster.api::<Pod>().delete(&victim, &DeleteParams::default()).await.unwrap();
    cluster
        .until("replaced", || async {
            let pods: Vec<Pod> = cluster.list().await;
            pods.len() == 5 && pods.iter().all(|pod| pod.metadata.name.as_ref() != Some(&victim))
        })
        .await;

    cluster
        .patch_deployment(json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}))
        .await;
    cluster.patch_deployment(image("demo:2")).await;
    cluster.until("recreated", || is_rolled_out(&cluster, 5)).await;
    assert_eq!(cluster.sizes().await, [("1".into(), 0), ("2".into(), 5)]);
    cluster.patch_deployment(json!({"spec": {"replicas": 1}})).await;
    cluster.until("scaled down", || is_rolled_out(&cluster, 1)).await;
}

async fn a_stuck_rollout_times_out(server: Server) {
    let cluster = Cluster::start(server, &WORKLOADS).await;
    cluster.create::<Deployment>(web(1)).await;
    let mut deployment = cluster.deployment().await;
    for _ in 0..700 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        deployment = cluster.deployment().await;
    }
    let conditions = deployment.status.unwrap().conditions.unwrap();
    let progressing = conditions.iter().find(|condition| condition.type_ == "Progressing").unwrap();
    assert_eq!(progressing.reason.as_deref(), Some("ProgressDeadlineExceeded"));
    assert_eq!(progressing.status, "False");
}

async fn a_service_follows_its_pods(server: Server) {
    let cluster = Cluster::start(server, &WORKLOADS).await;
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"],
                 "ports": [{"name": "", "port": 80, "targetPort": "http", "protocol": "TCP"}]},
    });
    cluster.create::<Service>(service).await;
    cluster.until("an empty slice", || async { slices(&cluster).await.len() == 1 }).await;
    cluster.run_pods();
    cluster.create::<Deployment>(web(3)).await;
    cluster
        .until("three endpoints", || async {
            let slices = slices(&cluster).await;
            let ready = slices.iter().flat_map(|slice| &slice.endpoints).filter(|endpoint| {
                endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
            });
            slices.len() == 1 && ready.count() == 3
        })
        .await;
    let slice = slices(&cluster).await.remove(0);
    assert_eq!(slice.ports.unwrap()[0].port, Some(8080));
    assert_eq!(slice.metadata.labels.unwrap()["kubernetes.io/service-name"], "web");

    cluster
        .until("endpoints agree", || async {
            let endpoints = cluster.api::<Endpoints>().get_opt("web").await.unwrap();
            let subsets = endpoints.and_then(|endpoints| endpoints.subsets).unwrap_or_default();
            subsets.len() == 1 && subsets[0].addresses.as_ref().is_some_and(|addresses| addresses.len() == 3)
        })
        .await;
    cluster.patch_deployment(json!({"spec": {"replicas": 0}})).await;
    cluster
        .until("all gone", || async {
            let slices = slices(&cluster).await;
            slices.len() == 1 && slices[0].endpoints.is_empty()
        })
        .await;
}
