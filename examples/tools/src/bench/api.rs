use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kube_api::{ApiServer, User};
use kube_store::MemoryStore;
use tokio::time::Instant;

use super::{Figure, per_second};
use crate::Failure;

const OBJECTS: usize = 5_000;
const WORKERS: usize = 16;

/// ConfigMaps of 1 KiB made, read, patched, listed and deleted by 16 clients of an API server in this process: the server's own cost,
/// with neither network nor disk. A stock API server can't be had that way, so there is no peer.
///
/// # Errors
/// If a request fails.
pub(crate) async fn run() -> Result<Vec<Figure>, Failure> {
    let server = ApiServer::builder(Arc::new(MemoryStore::new())).build().await?;
    let api = Api::default_namespaced(Client::new(server.as_user(User::admin()), "default"));
    let create = all(async |n| Ok(_ = api.create(&PostParams::default(), &object(n)?).await?)).await?;
    let get = all(async |n| Ok(_ = api.get(&name(n)).await?)).await?;
    let patch = Patch::Merge(serde_json::json!({"data": {"more": "yes"}}));
    let patched = all(async |n| Ok(_ = api.patch(&name(n), &PatchParams::default(), &patch).await?)).await?;
    let started = Instant::now();
    for _ in 0..10 {
        api.list(&ListParams::default()).await?;
    }
    let list = per_second(10, started);
    let delete = all(async |n| Ok(_ = api.delete(&name(n), &DeleteParams::default()).await?)).await?;
    let figures =
        [("create", create), ("get", get), ("patch", patched), ("list-5000", list), ("delete", delete)];
    Ok(figures.map(|(name, rate)| Figure::new(name, rate)).into())
}

fn name(n: usize) -> String {
    format!("object-{n}")
}

fn object(n: usize) -> Result<ConfigMap, Failure> {
    Ok(serde_json::from_value(
        serde_json::json!({"metadata": {"name": name(n)}, "data": {"text": "x".repeat(1024)}}),
    )?)
}

/// Operations per second over all objects.
async fn all<F: AsyncFn(usize) -> Result<(), Failure>>(operation: F) -> Result<f64, Failure> {
    let started = Instant::now();
    let worker = async |worker: usize| {
        for n in (worker..OBJECTS).step_by(WORKERS) {
            operation(n).await?;
        }
        Ok::<_, Failure>(())
    };
    futures::future::try_join_all((0..WORKERS).map(worker)).await?;
    Ok(per_second(OBJECTS, started))
}
