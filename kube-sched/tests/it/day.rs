//! Some hours of a cluster of 1,000 nodes in which everything goes wrong now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use kube_sched::{Config, Scheduler};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::sim::{Faults, SimApi, key, milli_cpu};

const NODES: usize = 1000;
const NODE_CPU: u64 = 4;
const MINUTES: u64 = 3 * 60;

/// The cluster's users, its administrators and its misfortunes.
struct Day {
    api: SimApi,
    rng: Rng,
    created: usize,
    /// When each pod is deleted by its owner, by minute.
    ends: BTreeMap<u64, Vec<String>>,
    /// Nodes that are away and come back, by minute.
    back: BTreeMap<u64, Vec<String>>,
    scheduler: Option<(CancellationToken, JoinHandle<()>)>,
    starts: u64,
}

fn node(name: &str, unschedulable: bool) -> Value {
    json!({"metadata": {"name": name}, "spec": {"unschedulable": unschedulable},
        "status": {"allocatable": {"cpu": NODE_CPU.to_string(), "memory": "64Gi", "pods": "110"}}})
}

impl Day {
    fn new(seed: u64) -> Self {
        let api = SimApi::new(seed);
        for number in 0..NODES {
            api.put("nodes", node(&format!("node-{number}"), false));
        }
        Self {
            api,
            rng: Rng::with_seed(seed),
            created: 0,
            ends: BTreeMap::new(),
            back: BTreeMap::new(),
            scheduler: None,
            starts: 0,
        }
    }

    /// Stops the scheduler as it is and starts another one, which has to find out everything anew.
    async fn restart(&mut self) {
        if let Some((shutdown, running)) = self.scheduler.take() {
            shutdown.cancel();
            running.await.expect("no panic");
        }
        self.starts += 1;
        let config = Config { seed: self.starts, ..Config::default() };
        let scheduler = Scheduler::new(self.api.client(), config).expect("valid");
        let shutdown = CancellationToken::new();
        self.scheduler = Some((shutdown.clone(), tokio::spawn(scheduler.run(shutdown))));
    }

    fn create(&mut self, minute: u64, cpu: u64, priority: i32, lifetime: u64) {
        let name = format!("pod-{}", self.created);
        self.created += 1;
        self.ends.entry(minute + lifetime).or_default().push(format!("ns/{name}"));
        self.api.put(
            "pods",
            json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "status": {}, "spec": {"priority": priority,
                "schedulerName": "default-scheduler",
                "containers": [{"name": "c", "resources": {"requests": {"cpu": format!("{cpu}m")}}}]}}),
        );
    }

    /// What users do in a minute.
    fn users(&mut self, minute: u64) {
        let burst = if minute % 60 == 20 { 250 } else { self.rng.u64(0..3) };
        for _ in 0..burst {
            let (cpu, priority) = (self.rng.u64(5..40) * 100, self.rng.i32(0..3));
            let lifetime = self.rng.u64(1..180);
            self.create(minute, cpu, priority, lifetime);
        }
        for key in self.ends.remove(&minute).unwrap_or_default() {
            self.api.delete("pods", &key);
        }
    }

    /// What happens to nodes in a minute.
    fn nodes(&mut self, minute: u64) {
        for name in self.back.remove(&minute).unwrap_or_default() {
            self.api.put("nodes", node(&name, false));
        }
        if !minute.is_multiple_of(10) {
            return;
        }
        let name = format!("node-{}", self.rng.usize(..NODES));
        if self.rng.bool() {
            self.api.put("nodes", node(&name, true));
        } else {
            // The node dies, and its pods are cleaned up.
            self.api.delete("nodes", &name);
            for pod in self.api.list("pods") {
                if pod["spec"]["nodeName"] == *name {
                    self.api.delete("pods", &key(&pod));
                }
            }
        }
        let away = self.rng.u64(5..60);
        self.back.entry(minute + away).or_default().push(name);
    }

    async fn minute(&mut self, minute: u64) {
        self.users(minute);
        self.nodes(minute);
        if minute % 30 == 7 {
            self.api.drop_watches();
        }
        if minute % 60 == 35 {
            self.restart().await;
        }
        let bad = minute % 60 < 10;
        let faults = Faults { conflict: 100, failure: 100, lost_answer: 100, expired: 300 };
        self.api.set_faults(if bad { faults } else { Faults::default() });
        sleep(Duration::from_secs(60)).await;
    }

    /// Pods that wait although a node has room for them.
    fn forgotten(&self) -> Vec<String> {
        let pods = self.api.list("pods");
        let mut free: BTreeMap<String, u64> = self
            .api
            .list("nodes")
            .iter()
            .filter(|node| node["spec"]["unschedulable"] != true)
            .map(|node| (key(node), NODE_CPU * 1000))
            .collect();
        for pod in &pods {
            if let Some(free) = pod["spec"]["nodeName"].as_str().and_then(|name| free.get_mut(name)) {
                *free -= milli_cpu(pod);
            }
        }
        let most = free.values().copied().max().unwrap_or_default();
        let waits = |pod: &&Value| pod["spec"]["nodeName"].is_null() && milli_cpu(pod) <= most;
        pods.iter().filter(waits).map(key).collect()
    }

    /// Pods on nodes that were never there.
    fn astray(&self) -> Vec<String> {
        let known: BTreeSet<_> = (0..NODES).map(|number| format!("node-{number}")).collect();
        let pods = self.api.list("pods");
        let astray =
            |pod: &&Value| pod["spec"]["nodeName"].as_str().is_some_and(|name| !known.contains(name));
        pods.iter().filter(astray).map(key).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_double_bound_or_overcommitted_in_hours_of_churn() {
    let mut day = Day::new(7);
    day.restart().await;
    for minute in 0..MINUTES {
        day.minute(minute).await;
        assert_eq!(day.api.violations(), Vec::<String>::new(), "minute {minute}");
    }
    day.api.set_faults(Faults::default());
    sleep(Duration::from_secs(600)).await;
    assert_eq!(day.forgotten(), Vec::<String>::new());
    assert_eq!(day.astray(), Vec::<String>::new());
    assert_eq!(day.api.violations(), Vec::<String>::new());
    let (bound, evicted) = day.api.counts();
    assert!(bound > 700, "{bound} of {} pods bound, {evicted} evicted", day.created);
    assert_eq!(day.starts, 4);
}
