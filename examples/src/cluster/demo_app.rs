use std::collections::BTreeSet;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Failure, Runtime};

/// How many pods the demo runs.
pub(super) const REPLICAS: usize = 3;

/// Creates the Deployment and the Service `demo`, unless they exist, and returns the Service's address.
pub(super) async fn deploy(client: &Client, runtime: &Runtime) -> Result<String, Failure> {
    ensure(Api::<Deployment>::default_namespaced(client.clone()), deployment(runtime)).await?;
    let services = Api::<Service>::default_namespaced(client.clone());
    ensure(services.clone(), service()).await?;
    let address = services.get("demo").await?.spec.and_then(|spec| spec.cluster_ip);
    address.ok_or_else(|| "the Service demo has no cluster IP".into())
}

async fn ensure<K>(api: Api<K>, object: Value) -> Result<(), Failure>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object = serde_json::from_value(object)?;
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => Ok(created.map(|_| ())?),
    }
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
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let pods = pods.list(&ListParams::default().labels("app=demo")).await?;
    let reasons: BTreeSet<String> = pods.items.into_iter().map(reason).collect();
    Ok(reasons.into_iter().collect::<Vec<_>>().join("; "))
}

/// Why a pod is not ready: what its container says, or else the first condition that does not hold.
fn reason(pod: Pod) -> String {
    let status = pod.status.unwrap_or_default();
    let containers = status.container_statuses.into_iter().flatten();
    let waits = containers.filter_map(|container| container.state?.waiting).next();
    let unmet = status.conditions.into_iter().flatten().find(|condition| condition.status == "False");
    let (reason, message) = match (waits, unmet) {
        (Some(waits), _) => (waits.reason, waits.message),
        (None, Some(unmet)) => (unmet.reason, unmet.message),
        (None, None) => (status.phase, None),
    };
    [reason, message].into_iter().flatten().collect::<Vec<_>>().join(": ")
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
        let reason = |status| reason(serde_json::from_value(json!({"status": status})).unwrap());
        let unplaced = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no nodes"}]);
        assert_eq!(reason(json!({"phase": "Pending", "conditions": unplaced})), "Unschedulable: no nodes");
        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        let container = json!({"name": "demo", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
        assert_eq!(reason(json!({"containerStatuses": [container]})), "ErrImagePull: not found");
        assert_eq!(reason(json!({"phase": "Pending"})), "Pending");
    }
}
