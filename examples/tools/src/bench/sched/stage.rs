//! Our API server, and a shape's objects in it.

use std::sync::Arc;
use std::time::Duration;

use futures::io::{copy_buf, sink};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, ResourceExt};
use kube_api::{ApiServer, User};
use kube_sched::testing::{HIGH_PRIORITY, Shape};
use kube_store::MemoryStore;
use serde_json::{from_value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::bound::Bound;
use crate::Failure;

/// Clients that create objects at a time.
const WORKERS: usize = 16;
/// How long a scheduler may take to do what it certainly will.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// An API server in this process, for one shape.
pub(super) struct Stage<'a> {
    shape: &'a Shape,
    pub(super) api: ApiServer,
    /// A client in this process, of a user who may do everything.
    pub(super) client: Client,
}

/// What a scheduler has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// Pods that were bound.
    pub(super) bound: usize,
    /// From the first one's creation to the last one's binding, or to the end of the scheduler's time.
    took: Duration,
}

impl Done {
    pub(super) fn per_second(&self) -> f64 {
        self.bound as f64 / self.took.as_secs_f64()
    }
}

impl<'a> Stage<'a> {
    /// Starts a server. In it are the priority of pods that preempt, and the shape's namespaces and the default one, each with the
    /// account that pods use unless they name another.
    pub(super) async fn new(shape: &'a Shape) -> Result<Self, Failure> {
        let api = ApiServer::builder(Arc::new(MemoryStore::new())).build().await?;
        let client = Client::new(api.as_user(User::admin()), "default");
        let (name, value) = HIGH_PRIORITY;
        let class: PriorityClass = from_value(json!({"metadata": {"name": name}, "value": value}))?;
        Api::all(client.clone()).create(&PostParams::default(), &class).await?;
        account(&client, "default").await?;
        let stage = Self { shape, api, client };
        let client = stage.client.clone();
        each(shape.namespaces(), move |(name, labels)| {
            let client = client.clone();
            async move {
                let namespace = from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
                let api: Api<Namespace> = Api::all(client.clone());
                api.create(&PostParams::default(), &namespace).await?;
                account(&client, &name).await
            }
        })
        .await?;
        Ok(stage)
    }

    /// Creates the nodes.
    pub(super) async fn nodes(&self) -> Result<(), Failure> {
        let api: Api<Node> = Api::all(self.client.clone());
        each(self.shape.nodes()?, move |node| {
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

    /// Creates the pods that are there before, on one node after the other: who schedules them is not measured, and may be slow.
    pub(super) async fn initial(&self) -> Result<(), Failure> {
        let mut pods = self.shape.initial()?;
        for (at, pod) in pods.iter_mut().enumerate() {
            pod.spec.get_or_insert_default().node_name = Some(format!("node-{}", at % self.shape.nodes));
        }
        self.create(pods).await
    }

    /// Waits until the scheduler knows of everything that was made before: it has bound a pod that was made last.
    pub(super) async fn ready(&self) -> Result<Bound, Failure> {
        let mut bound = Bound::after_now(&self.client).await?;
        let probe = json!({"metadata": {"name": "probe", "namespace": "default"},
            "spec": {"containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10.1"}]}});
        self.create(vec![from_value(probe)?]).await?;
        timeout(PATIENCE, bound.reach(1)).await.map_err(|_| "the scheduler binds no pod")??;
        Ok(bound)
    }

    /// Creates the pods that are measured, and lets the scheduler bind them for so long at most.
    pub(super) async fn measure(&self, bound: &mut Bound, limit: Duration) -> Result<Done, Failure> {
        let (pods, before) = (self.shape.measured()?, bound.now());
        let number = pods.len();
        let started = Instant::now();
        self.create(pods).await?;
        if let Ok(reached) = timeout_at(started + limit, bound.reach(before + number)).await {
            reached?;
        }
        Ok(Done { bound: bound.now() - before, took: started.elapsed() })
    }

    /// Creates pods as a client does that does not care for the answer.
    async fn create(&self, pods: Vec<Pod>) -> Result<(), Failure> {
        let client = self.client.clone();
        each(pods, move |pod| {
            let client = client.clone();
            async move {
                let path = format!("/api/v1/namespaces/{}/pods", pod.namespace().unwrap_or_default());
                let body = serde_json::to_vec(&pod)?;
                let request = Request::new(path).create(&PostParams::default(), body)?;
                Ok(_ = copy_buf(client.request_stream(request).await?, &mut sink()).await?)
            }
        })
        .await
    }

    /// Every pod is there and has a node.
    pub(super) async fn check(&self, done: &Done) -> Result<(), Failure> {
        let pods = Api::<Pod>::all(self.client.clone()).list(&ListParams::default()).await?;
        let bound = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let there = pods.iter().filter(bound).filter(|pod| pod.name_any().starts_with("measured-")).count();
        let waiting = pods.items.len() - pods.iter().filter(bound).count();
        if there == self.shape.measured()?.len() && there == done.bound && waiting == 0 {
            return Ok(());
        }
        Err(format!("{}: {there} pods are bound, {waiting} wait", self.shape.name).into())
    }
}

async fn account(client: &Client, namespace: &str) -> Result<(), Failure> {
    let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}}))?;
    let api = Api::namespaced(client.clone(), namespace);
    Ok(_ = api.create(&PostParams::default(), &account).await?)
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
