//! The driver against an API that records what is written, and against a real API server.

mod api;
mod cluster;
mod configured;
mod conformance;
mod day;
mod devices;
mod extenders;
mod feeds;
mod gang;
mod metrics;
mod permit;
mod preemption;
mod sim;
mod tls;
mod volumes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::FakeApi;
use kube::Client;
use kube_sched::framework::{Bind, Binding, EnabledPlugin, Plugin};
use kube_sched::{Config, Error, Scheduler};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

fn node(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}})
}

fn pod(name: &str, cpu: &str, scheduler: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {"schedulerName": scheduler,
        "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
}

/// Runs a scheduler until `done` says so, or fails after a generous time.
async fn run_until(api: &FakeApi, done: impl Fn(&FakeApi) -> bool) {
    run_with(Config::default(), api, done).await;
}

async fn run_with(config: Config, api: &FakeApi, done: impl Fn(&FakeApi) -> bool) {
    let scheduler = Scheduler::new(api.client(), config).expect("valid");
    let (mut ready, shutdown) = (scheduler.ready(), CancellationToken::new());
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    tokio::time::timeout(Duration::from_secs(30), async {
        ready.wait_for(|ready| *ready).await.expect("running");
        while !done(api) {
            api.changed().await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("not done; written so far: {:#?}", api.written()));
    shutdown.cancel();
    running.await.expect("no panic");
}

fn written(api: &FakeApi, method: &str, path: &str) -> Vec<Value> {
    let matches = |(m, p, _): &(String, String, Value)| m == method && p.contains(path);
    api.written().into_iter().filter(matches).map(|(_, _, body)| body).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_is_bound_and_told_so() {
    let api = FakeApi::new(
        vec![node("n1", "1"), node("n2", "4")],
        vec![pod("p", "2", "default-scheduler"), pod("other", "1", "somebody-else")],
    );
    run_until(&api, |api| !written(api, "POST", "/events").is_empty()).await;
    let bindings = written(&api, "POST", "/binding");
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0]["target"], json!({"kind": "Node", "name": "n2"}));
    assert_eq!(bindings[0]["metadata"]["uid"], "p");
    let event = &written(&api, "POST", "/apis/events.k8s.io/v1/namespaces/ns/events")[0];
    assert_eq!(event["note"], "Successfully assigned ns/p to n2");
    assert_eq!(
        (&event["reason"], &event["type"], &event["action"]),
        (&json!("Scheduled"), &json!("Normal"), &json!("Binding"))
    );
    assert_eq!(
        (&event["reportingController"], &event["regarding"]["name"]),
        (&json!("default-scheduler"), &json!("p"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_nowhere_learns_why() {
    let api = FakeApi::new(vec![node("n1", "1"), node("n2", "1")], vec![pod("p", "2", "default-scheduler")]);
    run_until(&api, |api| !written(api, "PATCH", "/status").is_empty()).await;
    let message = "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    let condition =
        &written(&api, "PATCH", "/api/v1/namespaces/ns/pods/p/status")[0]["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("PodScheduled"), &json!("False")));
    assert_eq!((&condition["reason"], &condition["message"]), (&json!("Unschedulable"), &json!(message)));
    let event = &written(&api, "POST", "/events")[0];
    assert_eq!(
        (&event["reason"], &event["note"], &event["type"]),
        (&json!("FailedScheduling"), &json!(message), &json!("Warning"))
    );
    assert!(written(&api, "POST", "/binding").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_nomination_that_is_of_no_use_is_taken_back() {
    let nominated = |policy: &str| {
        let mut pod = pod("p", "2", "default-scheduler");
        pod["spec"]["preemptionPolicy"] = policy.into();
        pod["status"] = json!({"nominatedNodeName": "n1"});
        FakeApi::new(vec![node("n1", "1")], vec![pod])
    };
    for (policy, change) in [("PreemptLowerPriority", Some(&Value::Null)), ("Never", None)] {
        let api = nominated(policy);
        run_until(&api, |api| !written(api, "PATCH", "/status").is_empty()).await;
        let status = &written(&api, "PATCH", "/status")[0]["status"];
        assert_eq!(
            status.as_object().and_then(|fields| fields.get("nominatedNodeName")),
            change,
            "{policy}: {status}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_binding_is_tried_again() {
    let api = FakeApi::new(vec![node("n1", "2")], vec![pod("p", "2", "default-scheduler")]);
    api.fail("/binding", 1);
    run_until(&api, |api| written(api, "POST", "/events").iter().any(|event| event["reason"] == "Scheduled"))
        .await;
    assert_eq!(written(&api, "POST", "/binding").len(), 2);
    let condition = &written(&api, "PATCH", "/status")[0]["status"]["conditions"][0];
    assert_eq!(condition["message"], "running Bind plugin \"DefaultBinder\": no");
    let failed =
        |event: &Value| event["reason"] == "FailedScheduling" && event["note"] == condition["message"];
    assert!(written(&api, "POST", "/events").iter().any(failed));
}

#[tokio::test(start_paused = true)]
async fn a_failed_condition_is_written_again() {
    let api = FakeApi::new(vec![node("n1", "1")], vec![pod("p", "2", "default-scheduler")]);
    api.fail("/events", 1);
    api.fail("/status", 2);
    run_until(&api, |api| written(api, "PATCH", "/status").len() == 3).await;
    let conditions = written(&api, "PATCH", "/api/v1/namespaces/ns/pods/p/status");
    assert!(conditions.iter().all(|body| body["status"]["conditions"][0]["type"] == "PodScheduled"));
}

#[tokio::test(start_paused = true)]
async fn conditions_survive_an_overflow_of_events() {
    let pods = (0..40).map(|number| pod(&format!("p{number}"), "2", "default-scheduler"));
    let api = FakeApi::new(vec![node("n1", "1")], pods.collect());
    let config = Config { max_reports: 1, ..Config::default() };
    run_with(config, &api, |api| written(api, "PATCH", "/status").len() >= 40).await;
    for number in 0..40 {
        let path = format!("/api/v1/namespaces/ns/pods/p{number}/status");
        assert_eq!(written(&api, "PATCH", &path).len(), 1, "{path}");
    }
}

/// Panics at the first pod, and binds none itself.
#[derive(Debug, Default)]
struct Clumsy {
    warned: AtomicBool,
}

impl Plugin for Clumsy {
    fn name(&self) -> &'static str {
        "Clumsy"
    }

    fn as_bind(&self) -> Option<&dyn Bind> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl Bind for Clumsy {
    async fn bind(&self, _: &Client, _: &Binding<'_>) -> Result<bool, Error> {
        assert!(self.warned.swap(true, Ordering::Relaxed), "oh no");
        Ok(false)
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_panics_costs_no_more_than_an_attempt() {
    let api = FakeApi::new(vec![node("n1", "2")], vec![pod("p", "2", "default-scheduler")]);
    let mut config = Config::default();
    config.profiles[0].plugins.insert(0, EnabledPlugin { plugin: Arc::new(Clumsy::default()), weight: 0 });
    run_with(config, &api, |api| {
        written(api, "POST", "/events").iter().any(|event| event["reason"] == "Scheduled")
    })
    .await;
    assert_eq!(written(&api, "POST", "/binding").len(), 1);
    let condition = &written(&api, "PATCH", "/status")[0]["status"]["conditions"][0];
    assert_eq!(condition["reason"], "SchedulerError");
    assert!(condition["message"].as_str().is_some_and(|message| message.contains("oh no")), "{condition}");
}
