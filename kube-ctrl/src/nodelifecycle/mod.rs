//! Watches the heartbeats of nodes, and marks nodes that are silent or not ready.

mod health;
mod pace;
mod plan;
mod taints;
#[cfg(test)]
mod tests;

use crate::pods::{self, BY_NODE};
use crate::runner::{Informer, Informers, Key, Plan, Reconcile, Wiring};
use crate::{Clock, Config, Result};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use pace::Pace;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const LEASES: &str = "kube-node-lease";

/// The controller `node-controller`: conditions, taints and the readiness of pods follow a node's heartbeats.
#[derive(Debug)]
pub struct NodeLifecycleController {
    nodes: Informer<Node>,
    leases: Informer<Lease>,
    pods: Informer<Pod>,
    clock: Clock,
    grace: Duration,
    period: Duration,
    memory: Mutex<HashMap<String, health::Probe>>,
    pace: Mutex<Pace>,
}

/// A node, when it last gave a sign of life, and its pods.
#[derive(Debug)]
pub struct View {
    node: Arc<Node>,
    probe: health::Probe,
    grace: Duration,
    pods: Vec<Arc<Pod>>,
    /// Whether pods may be evicted from nodes now: not when everything seems to be down, and not too many at once.
    eviction: pace::Eviction,
    /// Whether the node has not been seen before.
    first: bool,
}

impl NodeLifecycleController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>, config: &Config) -> Self {
        let pods: Informer<Pod> = informers.get();
        pods.index(BY_NODE, pods::node_words);
        Self {
            nodes: informers.get(),
            leases: informers.get(),
            pods,
            clock: config.clock,
            grace: config.node_monitor_grace,
            period: config.node_monitor_period,
            memory: Mutex::default(),
            pace: Mutex::default(),
        }
    }

    /// The node's probe, and whether this is the first one.
    fn probe(&self, node: &Node, name: &str, now: Timestamp) -> (health::Probe, bool) {
        let lease = self.leases.get(&Key::new(LEASES, name));
        let mut memory = self.memory.lock();
        let probe = health::probe(memory.get(name), node, lease.as_deref(), now);
        let first = memory.insert(name.to_owned(), probe.clone()).is_none();
        (probe, first)
    }
}

impl Reconcile for NodeLifecycleController {
    type View = View;

    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Node>();
        // A pod that turns ready on a node that is not must not stay so.
        let nodes = self.nodes.clone();
        wiring.watch::<Pod>(move |change| {
            let ready = change.new.as_ref().filter(|pod| pods::is_ready(pod));
            let node = ready.map(|pod| Key::cluster(pods::node(pod)));
            let down = |key: &Key| nodes.get(key).is_some_and(|node| !health::is_ready(&node));
            node.filter(down).into_iter().collect()
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let Some(node) = self.nodes.get(key) else {
            self.memory.lock().remove(&key.name);
            return Ok(None);
        };
        let now = self.clock.now();
        let (probe, first) = self.probe(&node, &key.name, now);
        let all = self.nodes.list();
        let eviction = self.pace.lock().allow(&node, &all, now);
        let pods = self.pods.by_index(BY_NODE, &key.name);
        Ok(Some(View { node, probe, grace: self.grace, pods, eviction, first }))
    }

    fn plan(&self, view: &View, now: Timestamp) -> Plan {
        plan::plan(view, now).again_after(self.period)
    }
}
