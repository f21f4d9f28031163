//! A workload without an API server: one decision after the other, each on what the ones before have left.

use std::sync::Arc;

use fastrand::Rng;

use super::Shape;
use crate::framework::Profile;
use crate::{Decision, Error, NodeInfo, PodInfo, Reuse, Snapshot};

/// A workload, ready to be replayed any number of times.
#[derive(Debug)]
pub struct Replay {
    cluster: Snapshot,
    measured: Vec<PodInfo>,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Pods that have a node.
    pub placed: usize,
    /// Pairs of a pod and a node that was looked at.
    pub pairs: usize,
    /// Pods that made room for others.
    pub victims: usize,
}

impl Replay {
    /// Prepares a workload: its nodes, and its initial pods on one node after the other.
    ///
    /// # Errors
    /// [`Error::Decode`] and [`Error::Quantity`] if an object makes no sense.
    pub fn new(shape: &Shape) -> Result<Self, Error> {
        let mut cluster = Snapshot::new();
        for (name, labels) in shape.namespaces() {
            cluster.upsert_namespace(&name, labels);
        }
        let mut names: Vec<Arc<str>> = Vec::new();
        for node in &shape.nodes()? {
            let node = NodeInfo::parse(node)?;
            names.push(Arc::clone(&node.name));
            cluster.upsert_node(Arc::new(node));
        }
        for (pod, node) in shape.initial()?.into_iter().zip(names.iter().cycle()) {
            cluster.assume(&PodInfo::parse(pod)?, node);
        }
        let measured = shape.measured()?.into_iter().map(PodInfo::parse).collect::<Result<_, _>>()?;
        Ok(Self { cluster, measured })
    }

    /// The cluster before the pods come that are measured.
    #[must_use]
    pub fn cluster(&self) -> &Snapshot {
        &self.cluster
    }

    /// The pods that are measured.
    #[must_use]
    pub fn pods(&self) -> &[PodInfo] {
        &self.measured
    }

    /// Places all pods, over their victims if need be; the same seed gives the same places.
    pub fn run(&self, profile: &Profile, seed: u64) -> Replayed {
        let mut run = Run {
            snapshot: self.cluster.fork(),
            profile,
            rng: Rng::with_seed(seed),
            reuse: Reuse::default(),
        };
        let mut replayed = Replayed::default();
        for pod in &self.measured {
            run.place(pod, &mut replayed);
        }
        replayed
    }
}

struct Run<'a> {
    snapshot: Snapshot,
    profile: &'a Profile,
    rng: Rng,
    reuse: Reuse,
}

impl Run<'_> {
    fn place(&mut self, pod: &PodInfo, replayed: &mut Replayed) {
        let decision = self.decide(pod, replayed);
        let Some(way) = decision.preemption.clone() else { return self.reuse.recycle(decision) };
        self.reuse.recycle(decision);
        let node: Arc<str> = self.snapshot.view(way.node).name().into();
        self.snapshot.nominate(Arc::new(pod.clone()), Arc::clone(&node));
        way.victims.iter().for_each(|victim| self.snapshot.remove_pod(victim));
        replayed.victims += way.victims.len();
        // The API server hands the pod back with the node that is nominated for it.
        let decision = self.decide(&pod.nominated_to(&node), replayed);
        self.reuse.recycle(decision);
    }

    fn decide(&mut self, pod: &PodInfo, replayed: &mut Replayed) -> Decision {
        let decision = self.reuse.schedule(&self.snapshot, pod, self.profile, &mut self.rng);
        replayed.pairs += decision.feasible.len() + decision.refused.len();
        if let Some(node) = decision.node() {
            self.snapshot.assume(pod, node);
            replayed.placed += 1;
        }
        decision
    }
}
