//! Pods whose claims are made from a template, from the template to the device and back.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_ctrl::ControllerManager;
use kube_sched::Scheduler;
use serde_json::{from_value, json};
use tokio_util::sync::CancellationToken;

use crate::server::{PATIENCE, Server, bound, create, node};

const LOOK: Duration = Duration::from_millis(20);

/// One node with one device, and a template for claims to it.
async fn device(server: &Server) {
    let client = &server.client;
    node(client).await;
    let classes: Api<DeviceClass> = Api::all(client.clone());
    let class = from_value(json!({"metadata": {"name": "gpu"}, "spec": {}})).unwrap();
    classes.create(&PostParams::default(), &class).await.unwrap();
    let slices: Api<ResourceSlice> = Api::all(client.clone());
    let slice = json!({"metadata": {"name": "n-gpu"}, "spec": {"driver": "gpu.example.com", "nodeName": "n",
        "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "gpu-0"}]}});
    slices.create(&PostParams::default(), &from_value(slice).unwrap()).await.unwrap();
    let request = json!({"name": "r", "exactly": {"deviceClassName": "gpu"}});
    let template =
        json!({"metadata": {"name": "one-gpu"}, "spec": {"spec": {"devices": {"requests": [request]}}}});
    create::<ResourceClaimTemplate>(client, template).await;
}

fn pod(name: &str) -> serde_json::Value {
    let claims = json!([{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]);
    let container = json!({"name": "c", "image": "pause", "resources": {"claims": [{"name": "gpu"}]}});
    json!({"metadata": {"name": name}, "spec": {"containers": [container], "resourceClaims": claims}})
}

/// Waits until the claims are as they should be, and hands them over.
async fn claims(server: &Server, fit: impl Fn(&[ResourceClaim]) -> bool) -> Vec<ResourceClaim> {
    let api: Api<ResourceClaim> = Api::default_namespaced(server.client.clone());
    let look = async {
        loop {
            let claims = api.list(&ListParams::default()).await.unwrap().items;
            if fit(&claims) {
                return claims;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the claims are never as they should be")
}

fn users(claim: &ResourceClaim) -> Vec<&str> {
    let status = claim.status.as_ref();
    let users = status.and_then(|status| status.reserved_for.as_deref()).unwrap_or_default();
    users.iter().map(|user| user.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_goes_from_pod_to_pod_with_claims_made_from_a_template() {
    let server = Server::start().await;
    device(&server).await;
    let shutdown = CancellationToken::new();
    let _end = shutdown.clone().drop_guard();
    let controllers = ["resourceclaim-controller", "garbage-collector-controller"];
    let config = kube_ctrl::Config {
        controllers: controllers.map(str::to_owned).into(),
        ..kube_ctrl::Config::default()
    };
    tokio::spawn(ControllerManager::new(server.client.clone(), config).run(shutdown.clone()));
    let scheduler = Scheduler::new(server.client.clone(), kube_sched::Config::default()).unwrap();
    tokio::spawn(scheduler.run(shutdown));

    create::<Pod>(&server.client, pod("first")).await;
    let first = bound(&server.client, "first").await;
    let claims_of_first =
        claims(&server, |claims| claims.iter().any(|claim| users(claim) == ["first"])).await;
    let [claim] = claims_of_first.as_slice() else { panic!("{claims_of_first:?}") };
    let statuses = first.status.unwrap().resource_claim_statuses.unwrap();
    assert_eq!(statuses[0].resource_claim_name, claim.metadata.name);
    assert!(claim.metadata.name.as_deref().unwrap().starts_with("first-gpu-"));
    let allocation = claim.status.as_ref().unwrap().allocation.as_ref().unwrap();
    assert_eq!(allocation.devices.as_ref().unwrap().results.as_ref().unwrap()[0].device, "gpu-0");

    // The device is taken until the first pod is done, and goes on to the next one then.
    create::<Pod>(&server.client, pod("second")).await;
    claims(&server, |claims| claims.len() == 2).await;
    let pods: Api<Pod> = Api::default_namespaced(server.client.clone());
    let done = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    pods.patch_status("first", &PatchParams::default(), &done).await.unwrap();
    bound(&server.client, "second").await;
    let left = claims(&server, |claims| claims.len() == 1 && users(&claims[0]) == ["second"]).await;
    assert!(left[0].metadata.name.as_deref().unwrap().starts_with("second-gpu-"));

    // A pod that is deleted takes its claim along.
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete("second", &now).await.unwrap();
    claims(&server, <[_]>::is_empty).await;
}
