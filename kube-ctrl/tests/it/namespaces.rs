//! Namespaces over the fake API.

use super::cluster::{Cluster, Server, from, on_both};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

on_both!(
    every_namespace_gets_its_account_and_certificates_and_keeps_them,
    a_deleted_namespace_goes_with_all_its_content_pods_first,
);

const NAMESPACES: [&str; 3] =
    ["namespace-controller", "serviceaccount-controller", "root-ca-certificate-publisher-controller"];

async fn every_namespace_gets_its_account_and_certificates_and_keeps_them(server: Server) {
    let cluster = Cluster::start(server, &NAMESPACES).await;
    let complete = || async {
        let accounts: Vec<ServiceAccount> = cluster.list().await;
        let maps: Vec<ConfigMap> = cluster.list().await;
        accounts.len() == 1 && maps.len() == 1 && maps[0].data.as_ref().unwrap()["ca.crt"] == "PEM"
    };
    cluster.until("account and map", complete).await;
    cluster.api::<ServiceAccount>().delete("default", &DeleteParams::default()).await.unwrap();
    cluster.api::<ConfigMap>().delete("kube-root-ca.crt", &DeleteParams::default()).await.unwrap();
    cluster.until("made again", complete).await;
}

async fn a_deleted_namespace_goes_with_all_its_content_pods_first(server: Server) {
    let cluster = Cluster::start(server, &NAMESPACES).await;
    cluster.namespace("team").await;
    let (pods, maps): (Api<Pod>, Api<ConfigMap>) =
        (Api::namespaced(cluster.client.clone(), "team"), Api::namespaced(cluster.client.clone(), "team"));
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), "team");
    cluster.until("the account", || async { accounts.get_opt("default").await.unwrap().is_some() }).await;
    let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "i"}]});
    let pod = from(json!({"metadata": {"name": "p"}, "spec": spec}));
    pods.create(&PostParams::default(), &pod).await.unwrap();
    maps.create(&PostParams::default(), &from(json!({"metadata": {"name": "m"}}))).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();

    let is_deleting = || async { pods.get("p").await.unwrap().metadata.deletion_timestamp.is_some() };
    cluster.until("the pod is being deleted", is_deleting).await;
    assert!(maps.get_opt("m").await.unwrap().is_some(), "what pods need must outlive them");
    cluster
        .until("the conditions tell", || async {
            let namespace = namespaces.get("team").await.unwrap();
            let conditions = namespace.status.and_then(|status| status.conditions).unwrap_or_default();
            conditions.iter().any(|c| c.type_ == "NamespaceContentRemaining" && c.status == "True")
        })
        .await;
    cluster.run_pods();
    cluster
        .until("the namespace is gone", || async { namespaces.get_opt("team").await.unwrap().is_none() })
        .await;
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
}
