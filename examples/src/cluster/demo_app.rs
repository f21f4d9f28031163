use std::collections::BTreeSet;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Client;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Failure, Runtime, objects};

/// How many pods the demo runs.
pub(super) const REPLICAS: usize = 3;

/// Creates the Deployment and the Service `demo`, unless they exist, and returns the Service's address.
pub(super) async fn deploy(client: &Client, runtime: &Runtime) -> Result<String, Failure> {
    objects::create(&objects::namespaced::<Deployment>(client, "default"), deployment(runtime)).await?;
    let services = objects::namespaced::<Service>(client, "default");
    objects::create(&services, service()).await?;
    let service = services.get("demo").await?;
    let address = service.data.pointer("/spec/clusterIP").and_then(Value::as_str);
    Ok(address.ok_or("the Service demo has no cluster IP")?.to_owned())
}

fn deployment(runtime: &Runtime) -> Value {
    let mut container = json!({
        "name": "demo", "image": crate::demo_image::NAME, "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8080, "name": "http"}],
    });
    // A simulated container would never answer.
    if *runtime != Runtime::Fake {
        container["readinessProbe"] =
            json!({"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1});
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "demo"}, "spec": {
    "replicas": REPLICAS,
    "selector": {"matchLabels": {"app": "demo"}},
    "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": [container]}}}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo"}, "spec": {
        "selector": {"app": "demo"}, "ports": [{"port": 80, "targetPort": "http"}]}})
}

/// Asks the Service until every replica has answered; calls `first` at the first answer.
///
/// # Errors
/// If they have not all answered in a minute.
pub(super) async fn ask_all(
    client: &Client,
    address: &str,
    mut first: impl FnMut(),
) -> Result<BTreeSet<String>, Failure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut answered = BTreeSet::new();
    while answered.len() < REPLICAS {
        match timeout(Duration::from_secs(1), ask(address)).await {
            Ok(Ok(pod)) => {
                if answered.is_empty() {
                    first();
                }
                answered.insert(pod);
            }
            _ if Instant::now() > deadline => {
                let (count, why) = (answered.len(), waiting(client).await?);
                return Err(
                    format!("{count} of {REPLICAS} replicas answer at http://{address}/; {why}").into()
                );
            }
            _ => sleep(Duration::from_millis(20)).await,
        }
    }
    Ok(answered)
}

/// What the demo's pods wait for, the same reason told once.
async fn waiting(client: &Client) -> Result<String, Failure> {
    let pods = objects::namespaced::<Pod>(client, "default");
    let pods = pods.list(&ListParams::default().labels("app=demo")).await?;
    let reasons: BTreeSet<String> = pods.items.iter().map(|pod| reason(&pod.data["status"])).collect();
    Ok(reasons.into_iter().collect::<Vec<_>>().join("; "))
}

/// Why a pod with this status is not ready: what its container says, or else the first condition that does not hold.
fn reason(status: &Value) -> String {
    let entries = |field: &str| status[field].as_array().into_iter().flatten();
    let waits = entries("containerStatuses")
        .map(|container| &container["state"]["waiting"])
        .find(|waits| waits.is_object());
    let unmet = || entries("conditions").find(|condition| condition["status"] == "False");
    let Some(cause) = waits.or_else(unmet) else {
        return status["phase"].as_str().unwrap_or_default().to_owned();
    };
    let parts = ["reason", "message"].into_iter().filter_map(|field| cause[field].as_str());
    parts.collect::<Vec<_>>().join(": ")
}

/// One request on a connection of its own, since a connection stays with one pod.
async fn ask(address: &str) -> Result<String, Failure> {
    let stream = TcpStream::connect((address, 80)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::get("/").header("host", address).body(String::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_not_ready_says_why() {
        let unplaced = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no nodes"}]);
        assert_eq!(reason(&json!({"phase": "Pending", "conditions": unplaced})), "Unschedulable: no nodes");
        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        let container = json!({"name": "demo", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
        assert_eq!(reason(&json!({"containerStatuses": [container]})), "ErrImagePull: not found");
        assert_eq!(reason(&json!({"phase": "Pending"})), "Pending");
    }
}
