//! Nodes that already have a pod's images are better.

use std::sync::Arc;

use crate::framework::{Cycle, MAX_NODE_SCORE, NodeScore, Plugin, Reach, Score};
use crate::snapshot::{NodeId, Snapshot};

const MB: i64 = 1024 * 1024;
/// Below this sum of sizes, in bytes, having the images is worth nothing.
const MIN: i64 = 23 * MB;
/// Above this sum per container, in bytes, more is worth no more.
const MAX_PER_CONTAINER: i64 = 1000 * MB;

/// Prefers nodes with the pod's images, counting large ones and widely spread ones more.
#[derive(Debug, Clone, Copy)]
pub struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    crate::takes_part!(Score);
}

struct Wanted<'a> {
    snapshot: &'a Snapshot,
    /// Images that some node has, with their size scaled by the share of nodes that have them.
    images: Vec<(&'a Arc<str>, i64)>,
    max: i64,
}

impl Score for ImageLocality {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "sizes of images need no more than 52 bits"
    )]
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let snapshot = cycle.snapshot;
        let scaled = |(size, nodes): (i64, u32)| {
            (size as f64 * f64::from(nodes) / snapshot.node_count() as f64) as i64
        };
        let wanted = &cycle.pod.template.images;
        let images: Vec<_> =
            wanted.iter().filter_map(|image| Some((image, scaled(snapshot.image(image)?)))).collect();
        let max = MAX_PER_CONTAINER.saturating_mul(i64::try_from(wanted.len()).unwrap_or(i64::MAX));
        // Without a known image every node scores zero, which changes no order.
        (!images.is_empty()).then(|| Box::new(Wanted { snapshot, images, max }) as Box<dyn NodeScore>)
    }
}

impl NodeScore for Wanted<'_> {
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        for (node, score) in nodes.iter().zip(scores) {
            let Some(info) = self.snapshot.view(*node).info() else { continue };
            let present = self.images.iter().filter(|(image, _)| info.images.contains_key(*image));
            let sum = present.map(|(_, size)| size).sum::<i64>().clamp(MIN, self.max);
            *score = MAX_NODE_SCORE * (sum - MIN) / (self.max - MIN);
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}
