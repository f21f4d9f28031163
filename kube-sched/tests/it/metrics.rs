//! What is counted, under which names and labels.

use std::collections::{BTreeMap, BTreeSet};

use kube_sched::{Config, Metrics, Scheduler};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use crate::sim::SimApi;

/// Upstream's name, type and labels of each metric.
const METRICS: &[(&str, &str, &[&str])] = &[
    ("async_api_call_execution_duration_seconds", "histogram", &["call_type", "result"]),
    ("async_api_call_execution_total", "counter", &["call_type", "result"]),
    ("cache_size", "gauge", &["type"]),
    ("event_handling_duration_seconds", "histogram", &["event"]),
    ("framework_extension_point_duration_seconds", "histogram", &["extension_point", "profile", "status"]),
    ("goroutines", "gauge", &["operation"]),
    ("inflight_events", "gauge", &["event"]),
    ("pending_async_api_calls", "gauge", &["call_type"]),
    ("pending_pods", "gauge", &["queue"]),
    ("plugin_evaluation_total", "counter", &["extension_point", "plugin", "profile"]),
    ("plugin_execution_duration_seconds", "histogram", &["extension_point", "plugin", "status"]),
    ("pod_scheduling_attempts", "histogram", &[]),
    ("pod_scheduling_sli_duration_seconds", "histogram", &["attempts"]),
    ("preemption_attempts_total", "counter", &[]),
    ("preemption_goroutines_duration_seconds", "histogram", &["result"]),
    ("preemption_goroutines_execution_total", "counter", &["result"]),
    ("preemption_victims", "histogram", &[]),
    ("queue_incoming_pods_total", "counter", &["event", "queue"]),
    ("queueing_hint_execution_duration_seconds", "histogram", &["event", "hint", "plugin"]),
    ("schedule_attempts_total", "counter", &["profile", "result"]),
    ("scheduling_algorithm_duration_seconds", "histogram", &[]),
    ("scheduling_attempt_duration_seconds", "histogram", &["profile", "result"]),
    ("unschedulable_pods", "gauge", &["plugin", "profile"]),
];

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("valid");
    text
}

/// The value of a series whose labels include all of these; none if there is no such series.
fn value(registry: &Registry, name: &str, labels: &[&str]) -> Option<f64> {
    let text = text(registry);
    let mut lines = text.lines().filter(|line| line.starts_with(&format!("scheduler_{name}{{")));
    let line = lines.find(|line| labels.iter().all(|label| line.contains(label)))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// The type of each family that has a series, and the names of the labels.
fn shapes(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut shapes = BTreeMap::<String, (String, BTreeSet<String>)>::new();
    let mut kind = String::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            declared.rsplit_once(' ').expect("a type").1.clone_into(&mut kind);
        }
        let Some(series) = line.strip_prefix("scheduler_") else { continue };
        let (name, labels) = series.split_once(['{', ' ']).expect("a value");
        let suffixes: &[_] = if kind == "histogram" { &["_bucket", "_count", "_sum"] } else { &[] };
        let name = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        let names = labels.split(['{', ',']).filter_map(|label| Some(label.split_once("=\"")?.0.to_owned()));
        let shape = shapes.entry(name.to_owned()).or_default();
        shape.0.clone_from(&kind);
        shape.1.extend(names.filter(|name| name != "le"));
    }
    shapes
}

fn put_node(api: &SimApi, name: &str, cpu: &str) {
    let allocatable = json!({"cpu": cpu, "memory": "64Gi", "pods": "110"});
    api.put("nodes", json!({"metadata": {"name": name}, "status": {"allocatable": allocatable}}));
}

fn put_pod(api: &SimApi, name: &str, cpu: &str, priority: i32) {
    api.put(
        "pods",
        json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "status": {},
        "spec": {"schedulerName": "default-scheduler", "priority": priority,
            "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}),
    );
}

/// Waits until a series has this value.
async fn until(registry: &Registry, name: &str, labels: &[&str], expected: f64) {
    for _ in 0..200 {
        for _ in 0..200 {
            yield_now().await;
        }
        if value(registry, name, labels) == Some(expected) {
            return;
        }
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
    }
    panic!("{name}{labels:?} is never {expected}: {}", text(registry));
}

#[tokio::test(start_paused = true)]
async fn every_metric_has_upstreams_name_type_and_labels_and_tells_what_happens() {
    let (metrics, mut registry) = (Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    let api = SimApi::new(1);
    let scheduler = Scheduler::new(api.client(), Config { metrics, ..Config::default() }).expect("valid");
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(scheduler.run(shutdown.clone()));

    put_node(&api, "a", "2");
    put_node(&api, "b", "2");
    put_pod(&api, "low", "2", 0);
    until(&registry, "async_api_call_execution_total", &["pod_binding", "success"], 1.0).await;
    until(&registry, "cache_size", &["nodes"], 2.0).await;
    until(&registry, "cache_size", &["\"pods\""], 1.0).await;
    until(&registry, "cache_size", &["assumed_pods"], 0.0).await;
    let evaluations = |point| {
        let labels = ["NodeResourcesFit", point, "default-scheduler"];
        value(&registry, "plugin_evaluation_total", &labels)
    };
    assert_eq!((evaluations("\"PreFilter"), evaluations("\"Filter")), (Some(1.0), Some(2.0)));

    let refused = ["plugin=\"NodeResourcesFit\"", "profile=\"default-scheduler\""];
    put_pod(&api, "giant", "9", 0);
    until(&registry, "unschedulable_pods", &refused, 1.0).await;
    until(&registry, "async_api_call_execution_total", &["pod_status_patch", "success"], 1.0).await;
    until(&registry, "pending_async_api_calls", &["pod_status_patch"], 0.0).await;
    put_node(&api, "c", "1");
    api.delete("pods", "ns/giant");
    until(&registry, "unschedulable_pods", &refused, 0.0).await;
    until(&registry, "event_handling_duration_seconds_count", &["UnschedulablePodDelete"], 1.0).await;
    until(&registry, "event_handling_duration_seconds_count", &["NodeAdd"], 3.0).await;
    until(&registry, "inflight_events", &["PodPopped"], 0.0).await;

    put_pod(&api, "high", "2", 9);
    put_pod(&api, "higher", "2", 10);
    until(&registry, "preemption_goroutines_execution_total", &["success"], 1.0).await;
    until(&registry, "cache_size", &["\"pods\""], 2.0).await;
    let expected = METRICS.iter().map(|(name, kind, labels)| {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        ((*name).to_owned(), ((*kind).to_owned(), labels))
    });
    let mut shapes = shapes(&text(&registry));
    // Nothing here waits for a permit.
    shapes.remove("permit_wait_duration_seconds");
    assert_eq!(shapes, expected.collect());
    shutdown.cancel();
    running.await.expect("no panic");
}
