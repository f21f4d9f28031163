//! Namespaces over the fake API.

use super::cluster::Cluster;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::json;

const NAMESPACES: [&str; 3] =
    ["namespace-controller", "serviceaccount-controller", "root-ca-certificate-publisher-controller"];

#[tokio::test(start_paused = true)]
async fn every_namespace_gets_its_account_and_certificates_and_keeps_them() {
    let cluster = Cluster::start(&NAMESPACES).await;
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

#[tokio::test(start_paused = true)]
async fn a_deleted_namespace_goes_with_all_its_content_pods_first() {
    let cluster = Cluster::start(&NAMESPACES).await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": []}});
    cluster.create::<Pod>(pod).await;
    cluster.create::<ConfigMap>(json!({"metadata": {"name": "m"}})).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.delete("default", &DeleteParams::default()).await.unwrap();

    cluster
        .until("the pod is being deleted", || async {
            cluster.list::<Pod>().await.iter().any(|pod| pod.metadata.deletion_timestamp.is_some())
        })
        .await;
    assert!(
        cluster.api::<ConfigMap>().get_opt("m").await.unwrap().is_some(),
        "what pods need must outlive them"
    );
    cluster
        .until("the conditions tell", || async {
            let namespace = namespaces.get("default").await.unwrap();
            let conditions = namespace.status.and_then(|status| status.conditions).unwrap_or_default();
            conditions.iter().any(|c| c.type_ == "NamespaceContentRemaining" && c.status == "True")
        })
        .await;
    cluster.run_pods();
    cluster
        .until("the namespace is gone", || async { namespaces.get_opt("default").await.unwrap().is_none() })
        .await;
    let maps: Api<ConfigMap> = Api::all(cluster.client.clone());
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
}
