//! Many pods that make room for themselves at the same time.

use std::time::Duration;

use kube_sched::{Config, Scheduler};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use crate::sim::SimApi;

const NODES: usize = 50;

/// A cluster that is full: of the four unimportant pods on a node, three have to go for an important one.
fn full_cluster() -> SimApi {
    let api = SimApi::new(1);
    for number in 0..NODES {
        let node = format!("node-{number}");
        api.put(
            "nodes",
            json!({"metadata": {"name": node},
                "status": {"allocatable": {"cpu": "4", "memory": "64Gi", "pods": "110"}}}),
        );
        for place in 0..4 {
            put_pod(&api, &format!("old-{number}-{place}"), "900m", json!({"priority": 0, "nodeName": node}));
        }
    }
    api
}

fn put_pod(api: &SimApi, name: &str, cpu: &str, mut spec: serde_json::Value) {
    spec["schedulerName"] = "default-scheduler".into();
    spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": cpu}}}]);
    api.put(
        "pods",
        json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "status": {}, "spec": spec}),
    );
}

/// How often pods were tried so far.
fn attempts(registry: &Registry) -> usize {
    let mut text = String::new();
    encode(&mut text, registry).expect("valid");
    let count = |line: &str| {
        let series = line.strip_prefix("scheduler_schedule_attempts_total{")?;
        series.rsplit_once(' ')?.1.parse::<usize>().ok()
    };
    text.lines().filter_map(count).sum()
}

#[tokio::test(start_paused = true)]
async fn a_crowd_makes_room_for_itself_without_trying_in_vain_meanwhile() {
    let api = full_cluster();
    // Slower than decisions, as servers are: pods that wait could be tried again and again before a victim is gone.
    api.set_turns(20);
    let (config, mut registry) = (Config::default(), Registry::default());
    config.metrics.register(&mut registry);
    let scheduler = Scheduler::new(api.client(), config).expect("valid");
    let (mut ready, shutdown) = (scheduler.ready(), CancellationToken::new());
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    ready.wait_for(|ready| *ready).await.expect("running");
    for number in 0..NODES {
        put_pod(&api, &format!("new-{number}"), "3", json!({"priority": 10}));
    }
    // A scheduler that is never idle would keep a paused clock from moving by itself.
    for _ in 0..60 {
        for _ in 0..1000 {
            yield_now().await;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(api.counts(), (NODES, 3 * NODES), "pods bound, pods evicted");
    // Once to make room and once to take it; some are woken by a victim of another pod between their own last one and its end.
    let attempts = attempts(&registry);
    assert!(attempts <= 3 * NODES, "{attempts} attempts");
    assert_eq!(api.violations(), Vec::<String>::new());
    shutdown.cancel();
    running.await.expect("no panic");
}
