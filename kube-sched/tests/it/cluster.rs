//! The driver against a real API server in the same process.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Node, Pod, PodCondition, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use kube_api::{ApiServer, User};
use kube_sched::{Config, Scheduler};
use kube_store::MemoryStore;
use serde_json::{Value, from_value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An API server and the scheduler that works for it.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    shutdown: CancellationToken,
    scheduler: JoinHandle<()>,
    _server: ApiServer,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub(crate) async fn start_with(scheduler: Config) -> Self {
        let config =
            kube_api::Config { advertise_address: [192, 0, 2, 1].into(), ..kube_api::Config::default() };
        let server =
            ApiServer::builder(Arc::new(MemoryStore::new())).config(config).build().await.expect("a server");
        let client = Client::new(server.as_user(User::admin()), "default");
        let account = from_value::<ServiceAccount>(json!({"metadata": {"name": "default"}})).expect("valid");
        let accounts = Api::default_namespaced(client.clone());
        accounts.create(&PostParams::default(), &account).await.expect("an account");
        let scheduler = Scheduler::new(client.clone(), scheduler).expect("valid");
        let (mut ready, shutdown) = (scheduler.ready(), CancellationToken::new());
        let scheduler = tokio::spawn(scheduler.run(shutdown.clone()));
        ready.wait_for(|ready| *ready).await.expect("running");
        Self { client, shutdown, scheduler, _server: server }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.scheduler.await.expect("no panic");
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    /// A node as its kubelet registers it: the server taints it until it is ready.
    pub(crate) async fn register(&self, name: &str, cpu: &str) {
        let node: Node = from_value(json!({"metadata": {"name": name},
            "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}}))
        .expect("valid");
        Api::all(self.client.clone()).create(&PostParams::default(), &node).await.expect("registered");
    }

    pub(crate) async fn untaint(&self, name: &str) {
        let patch = Patch::Merge(json!({"spec": {"taints": null}}));
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.patch(name, &PatchParams::default(), &patch).await.expect("untainted");
    }

    async fn create(&self, name: &str, cpu: &str) {
        self.create_with(name, cpu, json!({})).await;
    }

    /// A pod with further fields of its specification.
    pub(crate) async fn create_with(&self, name: &str, cpu: &str, spec: Value) {
        self.create_labelled(name, cpu, json!({}), spec).await;
    }

    /// A pod with labels and further fields of its specification.
    pub(crate) async fn create_labelled(&self, name: &str, cpu: &str, labels: Value, spec: Value) {
        let mut pod = json!({"metadata": {"name": name, "labels": labels}, "spec": {"containers": [
            {"name": "c", "image": "pause", "resources": {"requests": {"cpu": cpu}}}]}});
        for (field, value) in spec.as_object().into_iter().flatten() {
            pod["spec"][field] = value.clone();
        }
        let pod: Pod = from_value(pod).expect("valid");
        self.pods().create(&PostParams::default(), &pod).await.expect("created");
    }

    /// A node that takes pods at once.
    pub(crate) async fn ready_node(&self, name: &str, cpu: &str) {
        self.register(name, cpu).await;
        self.untaint(name).await;
    }

    /// Waits until the pod is as wanted.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let waiting = await_condition(self.pods(), name, |pod: Option<&Pod>| pod.is_some_and(&wanted));
        match tokio::time::timeout(Duration::from_secs(30), waiting).await {
            Ok(pod) => pod.expect("a watch").expect("a pod"),
            Err(_) => panic!("waited in vain; the pod is {:#?}", self.pods().get(name).await),
        }
    }

    pub(crate) async fn until_bound(&self, name: &str) -> Pod {
        self.until(name, |pod| node_of(pod).is_some()).await
    }

    /// The event of this reason about the pod, as `kubectl describe` finds it.
    pub(crate) async fn event(&self, pod: &str, reason: &str) -> Event {
        let fields = ListParams::default().fields(&format!("involvedObject.name={pod},reason={reason}"));
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let searching = async {
            loop {
                if let Some(event) = events.list(&fields).await.expect("a list").items.pop() {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), searching).await.expect("an event")
    }
}

pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

pub(crate) fn scheduled(pod: &Pod) -> Option<&PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == "PodScheduled")
}

/// Whether the pod says that it is not scheduled, with this message.
fn refused(pod: &Pod, message: &str) -> bool {
    scheduled(pod).is_some_and(|condition| {
        condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
            && condition.message.as_deref() == Some(message)
    })
}

fn message(pod: &Pod) -> &str {
    scheduled(pod).and_then(|condition| condition.message.as_deref()).unwrap_or_default()
}

#[tokio::test]
async fn pods_are_bound_as_soon_as_nodes_take_them() {
    let cluster = Cluster::start().await;
    cluster.create("early", "2").await;
    cluster.until("early", |pod| refused(pod, "no nodes available to schedule pods")).await;
    cluster.register("small", "1").await;
    cluster.register("large", "4").await;
    // Whether both nodes count depends on which of them was seen first.
    let tainted = "node(s) had untolerated taint {node.kubernetes.io/not-ready: }. no new claims to deallocate, preemption: 0/";
    cluster.until("early", |pod| message(pod).contains(tainted)).await;
    cluster.untaint("large").await;
    let pod = cluster.until_bound("early").await;
    assert_eq!(node_of(&pod), Some("large"));
    assert_eq!(scheduled(&pod).map(|condition| condition.status.as_str()), Some("True"));
    let event = cluster.event("early", "Scheduled").await;
    assert_eq!(event.message.as_deref(), Some("Successfully assigned default/early to large"));

    // The large node is full with this one, so that all others have to wait for the small one.
    cluster.create("filler", "2").await;
    assert_eq!(node_of(&cluster.until_bound("filler").await), Some("large"));
    for number in 0..10 {
        cluster.create(&format!("tiny-{number}"), "100m").await;
    }
    cluster.untaint("small").await;
    for number in 0..10 {
        let pod = cluster.until_bound(&format!("tiny-{number}")).await;
        assert_eq!(node_of(&pod), Some("small"));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_why_until_a_node_has_room() {
    let cluster = Cluster::start().await;
    for (name, cpu) in [("n1", "1"), ("n2", "4")] {
        cluster.register(name, cpu).await;
        cluster.untaint(name).await;
    }
    // Once this one is bound the scheduler has seen n2 without its taint, and n1, which changed before.
    cluster.create("first", "3").await;
    assert_eq!(node_of(&cluster.until_bound("first").await), Some("n2"));

    cluster.create("giant", "8").await;
    let message = "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: \
        2 Preemption is not helpful for scheduling.";
    cluster.until("giant", |pod| refused(pod, message)).await;
    let event = cluster.event("giant", "FailedScheduling").await;
    assert_eq!(event.message.as_deref(), Some(message));
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.reporting_component.as_deref(), Some("default-scheduler"));
    assert_eq!(event.involved_object.kind.as_deref(), Some("Pod"));

    cluster.register("n3", "16").await;
    cluster.untaint("n3").await;
    let pod = cluster.until_bound("giant").await;
    assert_eq!(node_of(&pod), Some("n3"));
    assert_eq!(scheduled(&pod).map(|condition| condition.status.as_str()), Some("True"));
    cluster.stop().await;
}
