//! A cluster with running controllers, and pods that start and stop as a node agent would make them.

use super::fake::Fake;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_ctrl::{Clock, Config, ControllerManager};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Which API server a scenario runs over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    Fake,
    Real,
}

impl Server {
    async fn client(self, clock: Clock) -> kube::Client {
        match self {
            Self::Fake => Fake::new(clock).client(),
            Self::Real => {
                let config = kube_api::Config {
                    clock: kube_api::Clock::starting_at(clock.now()),
                    seed: Some(1),
                    advertise_address: [192, 0, 2, 1].into(),
                    ..kube_api::Config::default()
                };
                let store = Arc::new(kube_store::MemoryStore::new());
                let server = kube_api::ApiServer::builder(store).config(config).build().await.unwrap();
                kube::Client::new(server.as_user(kube_api::User::admin()), "default")
            }
        }
    }
}

/// Makes two tests of every scenario: over the fake API and over the real one.
macro_rules! on_both {
    ($($scenario:ident),* $(,)?) => {$(
        mod $scenario {
            use crate::cluster::Server;

            #[tokio::test(start_paused = true)]
            async fn fake() {
                super::$scenario(Server::Fake).await;
            }

            #[tokio::test(start_paused = true)]
            async fn real() {
                super::$scenario(Server::Real).await;
            }
        }
    )*};
}
pub(crate) use on_both;

pub(crate) struct Cluster {
    pub(crate) client: kube::Client,
    pub(crate) clock: Clock,
    shutdown: CancellationToken,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Cluster {
    /// A cluster with these controllers.
    pub(crate) async fn start(server: Server, controllers: &[&str]) -> Self {
        let clock = Clock::anchored("2026-01-01T00:00:00Z".parse().unwrap());
        let client = server.client(clock).await;
        let shutdown = CancellationToken::new();
        let config = Config {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            root_ca: "PEM".into(),
            clock,
            ..Config::default()
        };
        let manager = ControllerManager::new(client.clone(), config);
        let mut ready = manager.ready();
        tokio::spawn(manager.run(shutdown.clone()));
        ready.wait_for(|ready| *ready).await.unwrap();
        let cluster = Self { client, clock, shutdown };
        cluster.namespace("default").await;
        if !controllers.iter().any(|name| matches!(*name, "*" | "serviceaccount-controller")) {
            cluster.create::<ServiceAccount>(json!({"metadata": {"name": "default"}})).await;
        } else {
            let accounts = cluster.api::<ServiceAccount>();
            cluster
                .until("an account", || async { accounts.get_opt("default").await.unwrap().is_some() })
                .await;
        }
        cluster
    }

    /// Also runs every pod: scheduled and ready after a second, gone a second after its deletion began.
    pub(crate) fn run_pods(&self) -> tokio::task::AbortHandle {
        let (client, shutdown) = (self.client.clone(), self.shutdown.clone());
        let agent = tokio::spawn(async move {
            while !shutdown.is_cancelled() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let pods: Api<Pod> = Api::all(client.clone());
                for pod in pods.list(&ListParams::default()).await.unwrap() {
                    step(&client, &pod).await;
                }
            }
        });
        agent.abort_handle()
    }

    pub(crate) async fn namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace: Namespace =
            from(json!({"metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}}));
        // The real server has some of its own.
        let _ = namespaces.create(&PostParams::default(), &namespace).await;
    }

    pub(crate) async fn create_node(&self, name: &str) {
        let ready = json!({"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"});
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.create(&PostParams::default(), &from(json!({"metadata": {"name": name}}))).await.unwrap();
        let status = json!({"status": {"conditions": [ready]}});
        nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        let lease = from(json!({"metadata": {"name": name}, "spec": {"holderIdentity": name}}));
        self.leases().create(&PostParams::default(), &lease).await.unwrap();
    }

    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), "kube-node-lease")
    }

    /// Renews a node's lease every ten seconds.
    pub(crate) fn keep_alive(&self, name: &'static str) {
        let (leases, clock, shutdown) = (self.leases(), self.clock, self.shutdown.clone());
        tokio::spawn(async move {
            while !shutdown.is_cancelled() {
                let renew = json!({"spec": {"renewTime": MicroTime(clock.now())}});
                leases.patch(name, &PatchParams::default(), &Patch::Merge(renew)).await.unwrap();
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn list<K>(&self) -> Vec<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        self.api::<K>().list(&ListParams::default()).await.unwrap().items
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        self.api::<K>().create(&PostParams::default(), &from(object)).await.unwrap()
    }

    pub(crate) async fn patch_deployment(&self, patch: Value) {
        self.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn deployment(&self) -> Deployment {
        self.api().get("web").await.unwrap()
    }

    /// The sizes of the deployment's sets, by revision.
    pub(crate) async fn sizes(&self) -> Vec<(String, i32)> {
        let sets: Vec<ReplicaSet> = self.list().await;
        let mut sizes: Vec<(String, i32)> = sets
            .iter()
            .map(|set| {
                let revision =
                    set.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"].clone();
                (revision, set.spec.as_ref().unwrap().replicas.unwrap())
            })
            .collect();
        sizes.sort();
        sizes
    }

    pub(crate) async fn events(&self) -> Vec<String> {
        let events: Vec<Event> = self.list().await;
        let told = |event: &Event| {
            format!("{} {}", event.reason.as_deref().unwrap_or(""), event.message.as_deref().unwrap_or(""))
        };
        events.iter().map(told).collect()
    }

    /// Waits, in paused time, until a condition holds; panics after ten minutes of it.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        for _ in 0..6000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never happened: {what}");
    }
}

pub(crate) fn from<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn step(client: &kube::Client, pod: &Pod) {
    let (name, namespace) = (pod.metadata.name.clone().unwrap(), pod.metadata.namespace.clone().unwrap());
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    if pod.metadata.deletion_timestamp.is_some() {
        let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
    } else if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "name": "node-1"});
        let binding =
            json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": node});
        let _ = pods.create_subresource::<_, Value>("binding", &name, &PostParams::default(), &binding).await;
    } else if pod.status.as_ref().is_none_or(|status| status.phase.as_deref() != Some("Running")) {
        let serial: u32 =
            pod.metadata.uid.as_deref().unwrap_or("").trim_start_matches("uid-").parse().unwrap_or(1);
        let ip = format!("10.0.{}.{}", serial / 250, serial % 250 + 1);
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [ready]}});
        let _ = pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
    }
}
