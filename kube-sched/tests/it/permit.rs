//! Permit plugins: pods that wait on their node, in gangs of three.

use std::sync::Arc;
use std::time::Duration;

use kube_sched::framework::{Binding, EnabledPlugin, Permit, PermitDecision, Plugin, Status};
use kube_sched::{Config, Metrics, Snapshot, WaitingPods};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::api::FakeApi;
use crate::{node, pod, run_with, written};

/// Lets pods go when three of them have their nodes, and refuses one by name.
#[derive(Debug)]
struct Gang(WaitingPods);

impl Plugin for Gang {
    fn name(&self) -> &'static str {
        "Gang"
    }

    fn as_permit(&self) -> Option<&dyn Permit> {
        Some(self)
    }
}

impl Permit for Gang {
    fn permit(&self, _: &Snapshot, binding: &Binding<'_>) -> Result<PermitDecision, Status> {
        if binding.pod.name() == "unloved" {
            return Err(Status::unschedulable("nobody loves it"));
        }
        let waiting = self.0.list();
        if waiting.len() < 2 {
            return Ok(PermitDecision::Wait(Duration::from_secs(10)));
        }
        waiting.iter().for_each(|other| _ = self.0.allow(&other.pod.key, "Gang"));
        Ok(PermitDecision::Allow)
    }
}

fn config() -> Config {
    let mut config = Config::default();
    let gang = Arc::new(Gang(config.waiting_pods.clone()));
    config.profiles[0].plugins.push(EnabledPlugin { plugin: gang, weight: 0 });
    config
}

fn bound(api: &FakeApi) -> usize {
    written(api, "POST", "/binding").len()
}

fn conditions(api: &FakeApi) -> Vec<String> {
    let text =
        |body: Value| body["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned();
    written(api, "PATCH", "/status").into_iter().map(text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_gang_is_bound_together_even_if_it_is_larger_than_the_bound_on_bindings() {
    let pods = ["a", "b", "c"].map(|name| pod(name, "1", "default-scheduler"));
    let api = FakeApi::new(vec![node("n1", "8")], pods.into());
    run_with(Config { max_bindings: 1, ..config() }, &api, |api| bound(api) == 3).await;
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_the_pod_leaves_its_node() {
    let api = FakeApi::new(vec![node("n1", "8")], vec![pod("lonely", "1", "default-scheduler")]);
    run_with(config(), &api, |api| !conditions(api).is_empty()).await;
    assert_eq!(conditions(&api)[0], "pod \"lonely\" rejected while waiting on permit: timeout");
    assert_eq!(bound(&api), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_pod_learns_why() {
    let api = FakeApi::new(vec![node("n1", "8")], vec![pod("unloved", "1", "default-scheduler")]);
    let (metrics, mut registry) = (Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    run_with(Config { metrics, ..config() }, &api, |api| !conditions(api).is_empty()).await;
    assert_eq!(conditions(&api)[0], "0/1 nodes are available: 1 nobody loves it.");
    let mut text = String::new();
    encode(&mut text, &registry).expect("encoded");
    for line in [
        "scheduler_schedule_attempts_total{result=\"unschedulable\",profile=\"default-scheduler\"} 1",
        "scheduler_pending_pods{queue=\"unschedulable\"} 1",
        "scheduler_queue_incoming_pods_total{event=\"UnschedulablePodAdd\",queue=\"active\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(text.contains("scheduler_framework_extension_point_duration_seconds_count"), "{text}");
}
