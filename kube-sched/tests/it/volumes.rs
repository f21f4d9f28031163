//! Pods with claims, against a real API server; the test stands for the control plane that binds and makes volumes.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json};

use crate::cluster::{Cluster, node_of, scheduled};

impl Cluster {
    fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::default_namespaced(self.client.clone())
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    async fn class(&self, provisioner: &str) {
        let class: StorageClass = from_value(
            json!({"metadata": {"name": "later"}, "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"}),
        )
        .expect("valid");
        let api: Api<StorageClass> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &class).await.expect("created");
    }

    async fn claim(&self, name: &str) {
        let claim = from_value(json!({"metadata": {"name": name}, "spec": {"storageClassName": "later",
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .expect("valid");
        self.claims().create(&PostParams::default(), &claim).await.expect("created");
    }

    async fn create_with_claim(&self, name: &str, claim: &str) {
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
        self.create_with(name, "1", json!({"volumes": volumes})).await;
    }

    /// Says that the claim is bound for good.
    async fn complete(&self, claim: &str, volume: &str) {
        let annotations = json!({"pv.kubernetes.io/bind-completed": "yes"});
        let patch =
            Patch::Merge(json!({"metadata": {"annotations": annotations}, "spec": {"volumeName": volume}}));
        self.claims().patch(claim, &PatchParams::default(), &patch).await.expect("bound");
    }
}

/// Waits until an object is as wanted.
async fn until<K>(api: Api<K>, name: &str, wanted: impl Fn(&Value) -> bool)
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + serde::Serialize + Send + 'static,
{
    let as_wanted = |object: Option<&K>| {
        object.and_then(|object| serde_json::to_value(object).ok()).is_some_and(|object| wanted(&object))
    };
    let waiting = await_condition(api, name, as_wanted);
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("in time").expect("a watch");
}

#[tokio::test]
async fn a_volume_is_made_for_the_chosen_node_before_the_pod_is_bound() {
    let cluster = Cluster::start().await;
    cluster.ready_node("n", "4").await;
    cluster.class("csi.example.com").await;
    cluster.claim("data").await;
    cluster.create_with_claim("p", "data").await;
    let selected =
        |claim: &Value| claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "n";
    until(cluster.claims(), "data", selected).await;
    let pod = cluster.pods().get("p").await.expect("it is there");
    assert_eq!(node_of(&pod), None, "its volume is not there yet");
    cluster.complete("data", "made").await;
    assert_eq!(node_of(&cluster.until_bound("p").await), Some("n"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_volume_is_reserved_for_the_claim_and_the_pod_follows_it() {
    let cluster = Cluster::start().await;
    for name in ["n1", "n2"] {
        cluster.ready_node(name, "4").await;
    }
    cluster.class("kubernetes.io/no-provisioner").await;
    cluster.claim("data").await;
    cluster.create_with_claim("p", "data").await;
    let no_volume = "node(s) didn't find available persistent volumes to bind";
    cluster
        .until("p", |pod| {
            scheduled(pod).is_some_and(|c| c.message.as_deref().unwrap_or_default().contains(no_volume))
        })
        .await;
    let affinity = json!({"required": {"nodeSelectorTerms": [{"matchFields": [], "matchExpressions": [
        {"key": "example.com/disk", "operator": "Exists"}]}]}});
    let labels = Patch::Merge(json!({"metadata": {"labels": {"example.com/disk": "yes"}}}));
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(cluster.client.clone());
    nodes.patch("n2", &PatchParams::default(), &labels).await.expect("labelled");
    let volume: PersistentVolume = from_value(json!({"metadata": {"name": "disk"}, "spec": {"storageClassName": "later",
        "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "nodeAffinity": affinity, "local": {"path": "/disk"}}}))
    .expect("valid");
    cluster.volumes().create(&PostParams::default(), &volume).await.expect("created");
    let available = Patch::Merge(json!({"status": {"phase": "Available"}}));
    cluster.volumes().patch_status("disk", &PatchParams::default(), &available).await.expect("available");
    until(cluster.volumes(), "disk", |volume| volume["spec"]["claimRef"]["name"] == "data").await;
    cluster.complete("data", "disk").await;
    assert_eq!(node_of(&cluster.until_bound("p").await), Some("n2"));
    cluster.stop().await;
}
