//! The score of a node's use.

use super::NodeResourcesFit;
use super::strategy::{Measured, ScoringStrategy};
use crate::framework::{Cycle, NodeScore, Reach, Score};
use crate::pod::PodInfo;
use crate::resources::{Amounts, nonzero_requests_of_containers};
use crate::snapshot::{NodeId, Snapshot};

struct Use<'a> {
    snapshot: &'a Snapshot,
    strategy: &'a ScoringStrategy,
    resources: Vec<(i64, Measured<'a>)>,
}

impl Score for NodeResourcesFit {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let added = added(cycle.pod);
        let measured = self
            .resources
            .iter()
            .filter_map(|resource| Some((resource.weight, Measured::new(&resource.name, cycle.pod, added)?)));
        let resources = measured.collect();
        Some(Box::new(Use { snapshot: cycle.snapshot, strategy: &self.strategy, resources }))
    }
}

/// What a pod would add. Upstream does not look here at what the pod requests as a whole, while it does for the pods that are there.
fn added(pod: &PodInfo) -> Amounts {
    match pod.spec().is_some_and(|spec| spec.resources.is_some()) {
        true => {
            nonzero_requests_of_containers(&pod.to_object()).map_or(pod.nonzero, |requests| requests.base)
        }
        false => pod.nonzero,
    }
}

impl NodeScore for Use<'_> {
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        for (node, score) in nodes.iter().zip(scores) {
            let view = self.snapshot.view(*node);
            let uses = self.resources.iter().map(|(weight, resource)| (*weight, resource.on(view, true)));
            *score = self.strategy.mean(uses);
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}
