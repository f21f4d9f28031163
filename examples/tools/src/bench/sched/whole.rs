//! Our scheduler on our API server, in this process.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kube_api::{ApiServer, User};
use kube_sched::{Config, Scheduler};
use kube_store::MemoryStore;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{from_value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::shapes::Shape;
use crate::Failure;
use crate::per_second;

/// Clients that create objects at a time.
const WORKERS: usize = 16;
/// How often the scheduler is asked how far it is.
const LOOK: Duration = Duration::from_millis(5);

/// Bound pods per second, from the first pod's creation to the last one's binding.
pub(super) async fn run(shape: &Shape) -> Result<f64, Failure> {
    let server = ApiServer::builder(Arc::new(MemoryStore::new())).build().await?;
    let client = Client::new(server.as_user(User::admin()), "default");
    let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}}))?;
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &account).await?;
    nodes(&client, shape).await?;

    let (config, mut registry) = (Config::default(), Registry::default());
    config.metrics.register(&mut registry);
    let scheduler = Scheduler::new(client.clone(), config)?;
    let (mut ready, shutdown) = (scheduler.ready(), CancellationToken::new());
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    ready.wait_for(|ready| *ready).await?;

    let (initial, measured) = (shape.initial()?, shape.measured()?);
    let (before, number) = (initial.len(), measured.len());
    create(&client, initial).await?;
    until_bound(&registry, before).await?;
    let started = Instant::now();
    create(&client, measured).await?;
    until_bound(&registry, before + number).await?;
    let rate = per_second(number, started);
    shutdown.cancel();
    running.await?;
    check(&client, before + number).await?;
    Ok(rate)
}

async fn nodes(client: &Client, shape: &Shape) -> Result<(), Failure> {
    let api: Api<Node> = Api::all(client.clone());
    // Admission taints a new node until its kubelet says that it is ready.
    let untainted = Patch::Merge(json!({"spec": {"taints": null}}));
    each(shape.nodes()?, async |node| {
        api.create(&PostParams::default(), &node).await?;
        let name = node.metadata.name.unwrap_or_default();
        Ok(_ = api.patch(&name, &PatchParams::default(), &untainted).await?)
    })
    .await
}

async fn create(client: &Client, pods: Vec<Pod>) -> Result<(), Failure> {
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    each(pods, async |pod| Ok(_ = api.create(&PostParams::default(), &pod).await?)).await
}

/// Handles every item, as many at a time as there are workers.
async fn each<T, F: AsyncFn(T) -> Result<(), Failure>>(items: Vec<T>, handle: F) -> Result<(), Failure> {
    let items = parking_lot::Mutex::new(items.into_iter());
    let worker = async || {
        loop {
            let next = items.lock().next();
            let Some(item) = next else { return Ok::<_, Failure>(()) };
            handle(item).await?;
        }
    };
    futures::future::try_join_all((0..WORKERS).map(|_| worker())).await.map(drop)
}

/// Waits until the scheduler says that it has bound so many pods.
async fn until_bound(registry: &Registry, number: usize) -> Result<(), Failure> {
    loop {
        let mut text = String::new();
        encode(&mut text, registry)?;
        let counter =
            "scheduler_schedule_attempts_total{result=\"scheduled\",profile=\"default-scheduler\"} ";
        let bound = text.lines().find_map(|line| line.strip_prefix(counter)?.parse::<usize>().ok());
        if bound.unwrap_or_default() >= number {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// Every pod is there and has a node.
async fn check(client: &Client, number: usize) -> Result<(), Failure> {
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    let pods = api.list(&ListParams::default()).await?;
    let bound = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let bound = pods.iter().filter(bound).count();
    if bound == number { Ok(()) } else { Err(format!("{bound} of {number} pods are bound").into()) }
}
