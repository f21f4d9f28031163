//! Pods with claims for devices, against a real API server; the test stands for the drivers and for the controller that frees claims.

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, from_value, json};

use crate::cluster::{Cluster, node_of, scheduled};

const DRIVER: &str = "gpu.example.com";

impl Cluster {
    fn device_claims(&self) -> Api<ResourceClaim> {
        Api::default_namespaced(self.client.clone())
    }

    /// A class, and a device on each of these nodes.
    async fn devices(&self, nodes: &[&str]) {
        let selectors = json!([{"cel": {"expression": format!("device.driver == '{DRIVER}'")}}]);
        let class: DeviceClass =
            from_value(json!({"metadata": {"name": "gpu"}, "spec": {"selectors": selectors}}))
                .expect("valid");
        Api::all(self.client.clone()).create(&PostParams::default(), &class).await.expect("created");
        for node in nodes {
            let slice: ResourceSlice = from_value(json!({"metadata": {"name": format!("{node}-{DRIVER}")}, "spec": {
                "driver": DRIVER, "nodeName": node, "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
                "devices": [{"name": "gpu-0", "attributes": {"model": {"string": "A100"}}, "capacity": {"memory": {"value": "40Gi"}}}]}}))
            .expect("valid");
            Api::all(self.client.clone()).create(&PostParams::default(), &slice).await.expect("created");
        }
    }

    async fn device_claim(&self, name: &str) {
        let memory = format!("device.capacity['{DRIVER}'].memory.compareTo(quantity('20Gi')) >= 0");
        let exactly = json!({"deviceClassName": "gpu", "selectors": [{"cel": {"expression": memory}}]});
        let claim = json!({"metadata": {"name": name}, "spec": {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}});
        let claim = from_value(claim).expect("valid");
        self.device_claims().create(&PostParams::default(), &claim).await.expect("created");
    }

    async fn create_with_device(&self, name: &str, claim: &str) {
        let claims = json!([{"name": "gpu", "resourceClaimName": claim}]);
        self.create_with(name, "100m", json!({"resourceClaims": claims})).await;
    }

    async fn set_claim_status(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.device_claims().patch_status(name, &PatchParams::default(), &patch).await.expect("patched");
    }

    async fn until_claim(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let as_wanted = |claim: Option<&ResourceClaim>| claim.is_some_and(|claim| wanted(&json!(claim)));
        let waiting = await_condition(self.device_claims(), name, as_wanted);
        let claim = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
        json!(claim.expect("in time").expect("a watch").expect("a claim"))
    }
}

/// Whether the pod waits, and says so with this text in its message.
fn waits(pod: &Pod, text: &str) -> bool {
    scheduled(pod).is_some_and(|condition| condition.message.as_deref().unwrap_or_default().contains(text))
}

fn users(claim: &Value) -> Vec<&str> {
    let users = claim["status"]["reservedFor"].as_array();
    users.into_iter().flatten().filter_map(|user| user["name"].as_str()).collect()
}

#[tokio::test]
async fn a_claim_gets_its_device_and_the_next_one_waits_for_it() {
    let cluster = Cluster::start().await;
    cluster.ready_node("n", "4").await;
    cluster.devices(&["n"]).await;
    cluster.device_claim("c1").await;
    cluster.create_with_device("p1", "c1").await;
    let first = cluster.until_bound("p1").await;
    let claim = cluster.until_claim("c1", |claim| !claim["status"]["allocation"].is_null()).await;
    let allocation = &claim["status"]["allocation"];
    let result = json!({"request": "r", "driver": DRIVER, "pool": "n", "device": "gpu-0"});
    assert_eq!(allocation["devices"]["results"], json!([result]));
    assert_eq!(allocation["nodeSelector"]["nodeSelectorTerms"][0]["matchFields"][0]["values"], json!(["n"]));
    assert_eq!(claim["metadata"]["finalizers"], json!(["resource.kubernetes.io/delete-protection"]));
    let user = json!({"resource": "pods", "name": "p1", "uid": first.metadata.uid});
    assert_eq!(claim["status"]["reservedFor"], json!([user]));
    cluster.device_claim("c2").await;
    cluster.create_with_device("p2", "c2").await;
    cluster
        .until("p2", |pod| {
            waits(
                pod,
                "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption:",
            )
        })
        .await;
    // Another pod may share what the first one has.
    cluster.create_with_device("sharer", "c1").await;
    cluster.until_bound("sharer").await;
    let shared = cluster.until_claim("c1", |claim| users(claim).len() == 2).await;
    assert_eq!(users(&shared), ["p1", "sharer"]);
    for name in ["p1", "sharer"] {
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        cluster.pods().delete(name, &now).await.expect("deleted");
    }
    cluster.set_claim_status("c1", json!({"allocation": null, "reservedFor": null})).await;
    assert_eq!(node_of(&cluster.until_bound("p2").await), Some("n"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_waits_for_its_claim_its_class_and_its_device() {
    let cluster = Cluster::start().await;
    cluster.ready_node("n", "4").await;
    cluster.create_with_device("p", "c").await;
    // Once this one is bound the first one has been looked at; it is held back, which is no attempt.
    cluster.create_with("plain", "100m", json!({})).await;
    cluster.until_bound("plain").await;
    assert!(scheduled(&cluster.pods().get("p").await.expect("it is there")).is_none());
    cluster.device_claim("c").await;
    cluster.until("p", |pod| waits(pod, "request r: device class gpu does not exist")).await;
    cluster.devices(&["n"]).await;
    cluster.until_bound("p").await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_device_on_a_node_that_takes_no_pods_is_given_back() {
    let cluster = Cluster::start().await;
    for node in ["n1", "n2"] {
        cluster.ready_node(node, "4").await;
    }
    cluster.devices(&["n1", "n2"]).await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let cordon = Patch::Merge(json!({"spec": {"unschedulable": true}}));
    nodes.patch("n1", &PatchParams::default(), &cordon).await.expect("cordoned");
    cluster.device_claim("c").await;
    let only = json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]});
    let result = json!({"request": "r", "driver": DRIVER, "pool": "n1", "device": "gpu-0"});
    cluster
        .set_claim_status(
            "c",
            json!({"allocation": {"devices": {"results": [result]}, "nodeSelector": only}}),
        )
        .await;
    cluster.create_with_device("p", "c").await;
    assert_eq!(node_of(&cluster.until_bound("p").await), Some("n2"));
    let claim = cluster.until_claim("c", |claim| users(claim) == ["p"]).await;
    assert_eq!(claim["status"]["allocation"]["devices"]["results"][0]["pool"], "n2");
    cluster.stop().await;
}
