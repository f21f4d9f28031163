//! Nodes whose CPU and memory fill up evenly are better.

use crate::framework::{Cycle, MAX_NODE_SCORE, NodeScore, Plugin, Reach, Score};
use crate::resources::Amounts;
use crate::snapshot::{NodeId, Snapshot};

/// Prefers nodes on which the used shares of CPU and memory differ little.
#[derive(Debug, Clone, Copy)]
pub struct NodeResourcesBalancedAllocation;

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

struct Balance<'a> {
    snapshot: &'a Snapshot,
    wanted: Amounts,
}

impl Score for NodeResourcesBalancedAllocation {
    /// No opinion on pods that ask for neither: they would all go to the same node.
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let wanted = cycle.pod.requests.base;
        let balances = wanted.milli_cpu != 0 || wanted.memory != 0;
        balances.then(|| Box::new(Balance { snapshot: cycle.snapshot, wanted }) as Box<dyn NodeScore>)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a hundred needs no more than 52 bits")]
fn used_share(requested: i64, capacity: i64) -> Option<f64> {
    (capacity != 0).then(|| (requested as f64 / capacity as f64).min(1.0))
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
            let (total, used) = (view.allocatable(), view.requested());
            let cpu = used_share(used.milli_cpu + self.wanted.milli_cpu, total.milli_cpu);
            let memory = used_share(used.memory + self.wanted.memory, total.memory);
            let deviation = cpu.zip(memory).map_or(0.0, |(cpu, memory)| ((cpu - memory) / 2.0).abs());
            *score = ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64;
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}
