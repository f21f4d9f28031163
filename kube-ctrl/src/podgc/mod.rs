//! Deletes pods that nobody else will: ended ones beyond a number, and those without a node.

mod plan;

use crate::pods;
use crate::runner::{Informer, Informers, Key, Plan, Reconcile, Wiring};
use crate::{Clock, Config, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How often the pods are looked at.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a node must be missing before its pods go: caches may be late.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);

/// The controller `pod-garbage-collector`.
#[derive(Debug)]
pub struct PodGcController {
    informers: Arc<Informers>,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    clock: Clock,
    threshold: usize,
    missing: Mutex<HashMap<String, Timestamp>>,
}

/// All pods, and the nodes that matter to them.
#[derive(Debug)]
pub struct View {
    pods: Vec<Arc<Pod>>,
    threshold: usize,
    /// Nodes that pods are bound to and that surely do not exist.
    gone: BTreeSet<String>,
    /// Nodes that are marked as out of service and are not ready.
    out_of_service: BTreeSet<String>,
}

impl PodGcController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>, config: &Config) -> Self {
        Self {
            informers: informers.clone(),
            pods: informers.get(),
            nodes: informers.get(),
            clock: config.clock,
            threshold: config.terminated_pod_threshold,
            missing: Mutex::default(),
        }
    }

    /// The nodes of pods that have been missing for the whole quarantine.
    fn suspects(&self, pods: &[Arc<Pod>]) -> Vec<String> {
        let now = self.clock.now();
        let bound: BTreeSet<&str> =
            pods.iter().map(|pod| pods::node(pod)).filter(|node| !node.is_empty()).collect();
        let absent = bound.into_iter().filter(|node| self.nodes.get(&Key::cluster(*node)).is_none());
        let mut missing = self.missing.lock();
        let before = std::mem::take(&mut *missing);
        for node in absent {
            missing.insert(node.to_owned(), before.get(node).copied().unwrap_or(now));
        }
        let overdue = missing.iter().filter(|(_, since)| now.duration_since(**since) >= QUARANTINE);
        overdue.map(|(node, _)| node.clone()).collect()
    }

    async fn gone(&self, pods: &[Arc<Pod>]) -> Result<BTreeSet<String>> {
        let nodes: Api<Node> = Api::all(self.informers.client());
        let mut gone = BTreeSet::new();
        for suspect in self.suspects(pods) {
            if nodes.get_metadata_opt(&suspect).await?.is_none() {
                gone.insert(suspect);
            }
        }
        Ok(gone)
    }
}

impl Reconcile for PodGcController {
    type View = View;

    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn workers(&self) -> usize {
        1
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.once(Key::default());
    }

    async fn observe(&self, _: &Key) -> Result<Option<View>> {
        let pods = self.pods.list();
        let gone = self.gone(&pods).await?;
        let out =
            |node: &Arc<Node>| plan::is_out_of_service(node).then(|| node.metadata.name.clone()).flatten();
        let out_of_service = self.nodes.list().iter().filter_map(out).collect();
        Ok(Some(View { pods, threshold: self.threshold, gone, out_of_service }))
    }

    fn plan(&self, view: &View, now: Timestamp) -> Plan {
        plan::plan(view, now).again_after(PERIOD)
    }
}
