//! Nodes whose resources fill up evenly are better.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::node_fit::{Measured, ResourceWeight, cpu_and_memory};
use crate::Error;
use crate::complaint::Complaints;
use crate::framework::{Cycle, MAX_NODE_SCORE, NodeScore, Plugin, PluginArgs, Reach, Score};
use crate::plugins::args::{accept, decode};
use crate::snapshot::{NodeId, Snapshot};

/// Prefers nodes on which the used shares of some resources differ little.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeResourcesBalancedAllocation {
    /// The resources, each of weight one. Default: CPU and memory.
    pub resources: Vec<ResourceWeight>,
}

impl Default for NodeResourcesBalancedAllocation {
    fn default() -> Self {
        Self { resources: cpu_and_memory() }
    }
}

impl NodeResourcesBalancedAllocation {
    /// The plugin's name.
    pub const NAME: &str = "NodeResourcesBalancedAllocation";

    /// Reads `NodeResourcesBalancedAllocationArgs`.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields that do not exist, resources that are named twice and weights other than one.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let mut plugin: Self = decode(Self::NAME, args, &["resources"])?;
        if plugin.resources.is_empty() {
            plugin.resources = cpu_and_memory();
        }
        let (mut complaints, mut seen) = (Complaints::default(), BTreeSet::new());
        for (index, ResourceWeight { name, weight }) in plugin.resources.iter_mut().enumerate() {
            let field = |name: &str| format!("resources[{index}].{name}");
            if !seen.insert(name.clone()) {
                complaints.duplicate(field("name"), format_args!("{name:?}"));
            }
            // None is one.
            *weight = if *weight == 0 { 1 } else { *weight };
            complaints.invalid_if(*weight != 1, field("weight"), *weight, "must be 1");
        }
        accept(Self::NAME, complaints)?;
        Ok(plugin)
    }
}

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(Score);
}

struct Balance<'a> {
    snapshot: &'a Snapshot,
    resources: Vec<Measured<'a>>,
}

impl Score for NodeResourcesBalancedAllocation {
    /// No opinion on pods that ask for none of the resources: they would all go to the same node.
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let measured =
            |resource: &'a ResourceWeight| Measured::new(&resource.name, cycle.pod, cycle.pod.requests.base);
        let resources: Vec<_> = self.resources.iter().filter_map(measured).collect();
        let asks = resources.iter().any(|resource| resource.wanted() != 0);
        asks.then(|| Box::new(Balance { snapshot: cycle.snapshot, resources }) as Box<dyn NodeScore>)
    }
}

/// The standard deviation of the used shares of resources that the node has.
#[expect(clippy::cast_precision_loss, reason = "a share of a hundred needs no more than 52 bits")]
fn deviation(uses: impl Iterator<Item = (i64, i64)> + Clone) -> f64 {
    let shares = uses
        .filter(|(_, capacity)| *capacity != 0)
        .map(|(requested, capacity)| (requested as f64 / capacity as f64).min(1.0));
    let count = shares.clone().count();
    match count {
        0 | 1 => 0.0,
        // The same as below, without rounding twice.
        2 => (shares.reduce(|a, b| a - b).unwrap_or_default() / 2.0).abs(),
        _ => {
            let mean = shares.clone().sum::<f64>() / count as f64;
            (shares.map(|share| (share - mean) * (share - mean)).sum::<f64>() / count as f64).sqrt()
        }
    }
}

impl NodeScore for Balance<'_> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the result is between 0 and 100"
    )]
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        for (node, score) in nodes.iter().zip(scores) {
            let view = self.snapshot.view(*node);
            let uses = self.resources.iter().map(|resource| resource.on(view, false));
            *score = ((1.0 - deviation(uses)) * MAX_NODE_SCORE as f64) as i64;
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}
