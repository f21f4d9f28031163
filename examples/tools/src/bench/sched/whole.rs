//! Our scheduler on our API server, in this process.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kube_api::{ApiServer, User};
use kube_sched::testing::{HIGH_PRIORITY, Shape};
use kube_sched::{Config, Scheduler};
use kube_store::MemoryStore;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{from_value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::memory::Memory;
use crate::per_second;

/// Clients that create objects at a time.
const WORKERS: usize = 16;
/// How often the scheduler is asked how far it is.
const LOOK: Duration = Duration::from_millis(5);

/// What was measured.
pub(super) struct Figures {
    /// From the first pod's creation to the last one's binding.
    pub(super) pods_per_second: f64,
    /// What the process grew by for each node, in everything that knows of it: store, watch cache and scheduler.
    pub(super) kib_per_node: f64,
    /// The same for each pod, with its event.
    pub(super) kib_per_pod: f64,
}

/// Runs a shape to its end.
pub(super) async fn run(shape: &Shape) -> Result<Figures, Failure> {
    let server = ApiServer::builder(Arc::new(MemoryStore::new())).build().await?;
    let client = Client::new(server.as_user(User::admin()), "default");
    let (config, mut registry) = (Config::default(), Registry::default());
    config.metrics.register(&mut registry);
    let scheduler = Scheduler::new(client.clone(), config)?;
    let (mut ready, shutdown) = (scheduler.ready(), CancellationToken::new());
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    ready.wait_for(|ready| *ready).await?;

    surroundings(&client, shape).await?;
    let empty = resident()?;
    nodes(&client, shape).await?;
    let with_nodes = resident()?;
    let (initial, measured) = (shape.initial()?, shape.measured()?);
    let (before, number) = (initial.len(), measured.len());
    create(&client, initial).await?;
    until_bound(&registry, before).await?;
    let started = Instant::now();
    create(&client, measured).await?;
    until_bound(&registry, before + number).await?;
    let pods_per_second = per_second(number, started);
    let with_pods = resident()?;
    shutdown.cancel();
    running.await?;
    check(&client, shape, number).await?;
    Ok(Figures {
        pods_per_second,
        kib_per_node: (with_nodes - empty) / shape.nodes as f64,
        kib_per_pod: (with_pods - with_nodes) / (before + number) as f64,
    })
}

/// Resident memory of this process, in KiB.
fn resident() -> Result<f64, Failure> {
    Ok(Memory::of(std::process::id())?.rss * 1024.0)
}

/// The priority of pods that preempt, and the shape's namespaces and the default one, each with the account that pods use
/// unless they name another.
async fn surroundings(client: &Client, shape: &Shape) -> Result<(), Failure> {
    let (name, value) = HIGH_PRIORITY;
    let class: PriorityClass = from_value(json!({"metadata": {"name": name}, "value": value}))?;
    Api::all(client.clone()).create(&PostParams::default(), &class).await?;
    account(client, "default").await?;
    let client = client.clone();
    each(shape.namespaces(), move |(name, labels)| {
        let client = client.clone();
        async move {
            let namespace = from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
            let api: Api<Namespace> = Api::all(client.clone());
            api.create(&PostParams::default(), &namespace).await?;
            account(&client, &name).await
        }
    })
    .await
}

async fn account(client: &Client, namespace: &str) -> Result<(), Failure> {
    let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}}))?;
    let api = Api::namespaced(client.clone(), namespace);
    Ok(_ = api.create(&PostParams::default(), &account).await?)
}

async fn nodes(client: &Client, shape: &Shape) -> Result<(), Failure> {
    let api: Api<Node> = Api::all(client.clone());
    each(shape.nodes()?, move |node| {
        let api = api.clone();
        async move {
            api.create(&PostParams::default(), &node).await?;
            // Admission taints a new node until its kubelet says that it is ready.
            let untainted = Patch::Merge(json!({"spec": {"taints": null}}));
            Ok(_ = api.patch(&node.name_any(), &PatchParams::default(), &untainted).await?)
        }
    })
    .await
}

async fn create(client: &Client, pods: Vec<Pod>) -> Result<(), Failure> {
    let client = client.clone();
    each(pods, move |pod| {
        let api = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        async move { Ok(_ = api.create(&PostParams::default(), &pod).await?) }
    })
    .await
}

/// Handles every item, as many at a time as there are workers.
async fn each<T, F, W>(items: Vec<T>, handle: F) -> Result<(), Failure>
where
    T: Send + 'static,
    F: Fn(T) -> W + Clone + Send + 'static,
    W: Future<Output = Result<(), Failure>> + Send,
{
    let items = Arc::new(parking_lot::Mutex::new(items.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (items, handle) = (Arc::clone(&items), handle.clone());
        workers.spawn(async move {
            loop {
                let next = items.lock().next();
                let Some(item) = next else { return Ok::<_, Failure>(()) };
                handle(item).await?;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(())
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
async fn check(client: &Client, shape: &Shape, measured: usize) -> Result<(), Failure> {
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await?;
    let bound = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let there = pods.iter().filter(bound).filter(|pod| pod.name_any().starts_with("measured-")).count();
    let waiting = pods.items.len() - pods.iter().filter(bound).count();
    if there == measured && waiting == 0 {
        return Ok(());
    }
    Err(format!("{}: {there} of {measured} pods are bound, {waiting} wait", shape.name).into())
}
