//! The whole agent against a small API and the fake runtime, with paused time.

pub(crate) mod api;
mod logs;
mod sandbox;
mod statics;
mod volumes;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::api::FakeApi;
use crate::{
    Agent, Clock, Config, Files,
    runtime::fake::{FakeRuntime, Script},
    seam::{ContainerFilter, ContainerState, ContainerStatus, Runtime, SandboxFilter, StoragePlugin},
};

struct Cluster {
    api: FakeApi,
    runtime: FakeRuntime,
    clock: Clock,
    shutdown: CancellationToken,
}

impl Cluster {
    fn new() -> Self {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let runtime = FakeRuntime::new(clock, vec!["10.1.0.0/24".parse().expect("a range")]);
        Self { api: FakeApi::new(clock), runtime, clock, shutdown: CancellationToken::new() }
    }

    /// Starts an agent; the token ends it.
    fn start(&self) -> (CancellationToken, tokio::task::JoinHandle<()>) {
        self.start_with(Config { files: Files::Skip, ..Config::default() }, Vec::new())
    }

    fn start_with(
        &self,
        config: Config,
        drivers: Vec<Arc<dyn StoragePlugin>>,
    ) -> (CancellationToken, tokio::task::JoinHandle<()>) {
        let config = Config { node_name: "n1".to_owned(), ..config };
        let runtime: Arc<dyn Runtime> = Arc::new(self.runtime.clone());
        let agent = Agent::new(self.api.client(), runtime, drivers, self.clock, config)
            .expect("a valid configuration");
        let end = self.shutdown.child_token();
        (end.clone(), tokio::spawn(agent.run(end)))
    }

    /// Waits until the pod satisfies `want`.
    async fn until(&self, name: &str, what: &str, want: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..6000 {
            if let Some(pod) = self.api.get("pods", "default", name).filter(|p| want(p)) {
                return pod;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} never was {what}: {:#}", self.api.get("pods", "default", name).unwrap_or_default());
    }

    async fn containers(&self) -> Vec<ContainerStatus> {
        self.runtime.containers(&ContainerFilter::default()).await.expect("containers")
    }
}

fn pod(name: &str, policy: &str, containers: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"nodeName": "n1", "restartPolicy": policy, "terminationGracePeriodSeconds": 30, "containers": containers},
        "status": {"phase": "Pending"}
    })
}

fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let list = object["status"]["conditions"].as_array();
    list.into_iter().flatten().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

#[tokio::test(start_paused = true)]
async fn the_node_registers_and_becomes_ready_at_once() {
    let cluster = Cluster::new();
    cluster.start();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let node = cluster.api.get("nodes", "", "n1").expect("the node");
    assert_eq!(condition(&node, "Ready")["status"], "True");
    assert_eq!(condition(&node, "Ready")["message"], "kubelet is posting ready status");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
    let lease = cluster.api.get("leases", "kube-node-lease", "n1").expect("the lease");
    let first = lease["spec"]["renewTime"].clone();
    tokio::time::sleep(Duration::from_secs(11)).await;
    let lease = cluster.api.get("leases", "kube-node-lease", "n1").expect("the lease");
    assert_ne!(lease["spec"]["renewTime"], first, "the lease is renewed");
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_reported_at_once_though_watches_outrun_answers() {
    let mut cluster = Cluster::new();
    cluster.api.answers_after = Duration::from_millis(5);
    cluster.start();
    cluster.api.put("pods", pod("web", "Always", json!([{"name": "c", "image": "web"}])));
    let started = tokio::time::Instant::now();
    cluster.until("web", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

/// Labels that somebody gives a node count at once.
#[tokio::test(start_paused = true)]
async fn a_pod_runs_only_where_it_wants_to_be() {
    let cluster = Cluster::new();
    cluster.start();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let mut node = cluster.api.get("nodes", "", "n1").expect("the node");
    node["metadata"]["labels"]["disk"] = json!("ssd");
    cluster.api.put("nodes", node);
    for disk in ["ssd", "hdd"] {
        let mut pod = pod(disk, "Always", json!([{"name": "c", "image": "web"}]));
        pod["spec"]["nodeSelector"] = json!({"disk": disk});
        cluster.api.put("pods", pod);
    }
    cluster.until("ssd", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    let refused = cluster.until("hdd", "refused", |p| phase(p) == "Failed").await;
    assert_eq!(refused["status"]["reason"], "NodeAffinity");
}

#[tokio::test(start_paused = true)]
async fn what_others_say_the_node_has_becomes_allocatable() {
    let cluster = Cluster::new();
    cluster.start();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let mut node = cluster.api.get("nodes", "", "n1").expect("the node");
    node["status"]["capacity"]["example.com/dongle"] = json!("4");
    cluster.api.put("nodes", node);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = cluster.api.get("nodes", "", "n1").expect("the node")["status"].clone();
    assert_eq!(status["allocatable"]["example.com/dongle"], "4");
    assert!(status["allocatable"]["cpu"].is_string(), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_its_deletion_finishes() {
    let cluster = Cluster::new();
    cluster.start();
    cluster.api.put("pods", pod("web", "Always", json!([{"name": "c", "image": "web"}])));
    let ready = cluster.until("web", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    assert_eq!(phase(&ready), "Running");
    assert_eq!(ready["status"]["podIP"], "10.1.0.2");
    assert_eq!(ready["status"]["qosClass"], "BestEffort");
    let status = &ready["status"]["containerStatuses"][0];
    assert!(status["containerID"].as_str().is_some_and(|id| id.starts_with("fake://")), "{status}");
    assert_eq!(status["restartCount"], 0);
    cluster.api.delete("web", 30);
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(cluster.api.get("pods", "default", "web"), None, "the pod is gone from the API");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(cluster.containers().await.is_empty(), "nothing is left in the runtime");
    assert!(cluster.runtime.sandboxes(&SandboxFilter::default()).await.expect("sandboxes").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_waits_longer_every_time() {
    let cluster = Cluster::new();
    let crash = Script { run_for: Some(Duration::from_secs(1)), exit_code: 3, ..Script::default() };
    cluster.runtime.script("crash", crash);
    cluster.start();
    cluster.api.put("pods", pod("bad", "Always", json!([{"name": "c", "image": "crash"}])));
    let state = |p: &Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    let waiting = cluster.until("bad", "in back-off", |p| state(p) == "CrashLoopBackOff").await;
    let status = &waiting["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1, "the first restart comes at once");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    let message = status["state"]["waiting"]["message"].as_str().unwrap_or_default();
    assert_eq!(message, "back-off 10s restarting failed container=c pod=bad_default(uid-bad)");
    let count = |n: i64| {
        move |p: &Value| {
            p["status"]["containerStatuses"][0]["restartCount"] == n && state(p) == "CrashLoopBackOff"
        }
    };
    let later = cluster.until("bad", "in longer back-off", count(2)).await;
    assert!(later.to_string().contains("back-off 20s"), "{later:#}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_done_stays_done() {
    let cluster = Cluster::new();
    let done = Script { run_for: Some(Duration::from_secs(1)), ..Script::default() };
    cluster.runtime.script("job", done);
    cluster.start();
    cluster.api.put("pods", pod("job", "Never", json!([{"name": "c", "image": "job"}])));
    let pod = cluster.until("job", "succeeded", |p| phase(p) == "Succeeded").await;
    assert_eq!(condition(&pod, "Ready")["reason"], "PodCompleted");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(cluster.containers().await.len(), 1, "it is not started again");
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_adopts_what_runs() {
    let cluster = Cluster::new();
    let (end, task) = cluster.start();
    cluster.api.put("pods", pod("web", "Always", json!([{"name": "c", "image": "web"}])));
    cluster.until("web", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    let before = cluster.containers().await;
    end.cancel();
    task.await.expect("the agent ends");
    assert_eq!(cluster.containers().await, before, "the end of the agent touches nothing");
    // While nobody watches, one pod is removed from the API.
    cluster.start();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(cluster.containers().await, before, "the container was adopted as it is");
    cluster.runtime.exit(&before[0].id, 1);
    cluster
        .until("web", "restarted", |p| {
            p["status"]["containerStatuses"][0]["restartCount"] == 1
                && condition(p, "Ready")["status"] == "True"
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_vanished_while_nobody_watched_is_cleaned_up() {
    let cluster = Cluster::new();
    let (end, task) = cluster.start();
    cluster.api.put("pods", pod("web", "Always", json!([{"name": "c", "image": "web"}])));
    cluster.until("web", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    end.cancel();
    task.await.expect("the agent ends");
    cluster.api.delete("web", 0);
    cluster.start();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(cluster.containers().await.is_empty());
    assert!(cluster.runtime.sandboxes(&SandboxFilter::default()).await.expect("sandboxes").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_told_and_tried_again() {
    let cluster = Cluster::new();
    let broken = Script { pull_error: Some("no such image".to_owned()), ..Script::default() };
    cluster.runtime.script("gone", broken);
    cluster.start();
    cluster.api.put("pods", pod("p", "Always", json!([{"name": "c", "image": "gone"}])));
    let reason = |p: &Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    cluster.until("p", "ErrImagePull", |p| reason(p) == "ErrImagePull").await;
    cluster.until("p", "ImagePullBackOff", |p| reason(p) == "ImagePullBackOff").await;
    cluster.runtime.script("gone", Script::default());
    cluster.until("p", "running", |p| phase(p) == "Running").await;
    let reasons = cluster.api.event_reasons();
    for expected in ["Pulling", "Failed", "BackOff", "Pulled", "Created", "Started"] {
        assert!(reasons.iter().any(|r| r == expected), "{expected} is missing in {reasons:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_first_and_one_after_the_other() {
    let cluster = Cluster::new();
    let done = Script { run_for: Some(Duration::from_secs(1)), ..Script::default() };
    cluster.runtime.script("setup", done);
    cluster.start();
    let mut object = pod("p", "Always", json!([{"name": "c", "image": "web"}]));
    object["spec"]["initContainers"] =
        json!([{"name": "i1", "image": "setup"}, {"name": "i2", "image": "setup"}]);
    cluster.api.put("pods", object);
    cluster.until("p", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    let all = cluster.containers().await;
    let find = |name: &str| all.iter().find(|c| c.name == name).expect("a container");
    assert!(find("i1").finished_at <= find("i2").started_at);
    assert!(find("i2").finished_at <= find("c").started_at);
    assert_eq!(find("c").state, ContainerState::Running);
}
