//! How the use of a node's resources becomes a score.

use serde::Deserialize;

use crate::framework::MAX_NODE_SCORE;
use crate::pod::PodInfo;
use crate::resources::Amounts;
use crate::snapshot::NodeView;

/// The best score in the shape of a [`ScoringStrategy::RequestedToCapacityRatio`].
const MAX_SHAPE_SCORE: i64 = 10;

/// A resource and how much it counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ResourceWeight {
    /// The resource's name.
    pub name: String,
    /// Its weight, 1 to 100; arguments without one mean 1.
    #[serde(default)]
    pub weight: i64,
}

/// CPU and memory, the same weight each.
pub(crate) fn cpu_and_memory() -> Vec<ResourceWeight> {
    ["cpu", "memory"].map(|name| ResourceWeight { name: name.to_owned(), weight: 1 }).into()
}

/// Which nodes are better.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ScoringStrategy {
    /// Those with more left.
    #[default]
    LeastAllocated,
    /// Those with less left.
    MostAllocated,
    /// As a function of the used share says: points of percent and score, in rising order of percent, scores from 0 to 10.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

impl ScoringStrategy {
    /// The score of using `requested` of `capacity`, which is not zero.
    fn of(&self, requested: i64, capacity: i64) -> i64 {
        let share = |amount: i64| amount.saturating_mul(MAX_NODE_SCORE) / capacity;
        match self {
            Self::LeastAllocated if requested > capacity => 0,
            Self::LeastAllocated => share(capacity - requested),
            Self::MostAllocated => share(requested.min(capacity)),
            Self::RequestedToCapacityRatio(shape) => interpolate(shape, share(requested.min(capacity))),
        }
    }

    /// The mean over several resources, by weight. A shape's zero does not count at all, as upstream has it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a mean of scores is small"
    )]
    pub(super) fn mean(&self, uses: impl Iterator<Item = (i64, (i64, i64))>) -> i64 {
        let shaped = matches!(self, Self::RequestedToCapacityRatio(_));
        let (mut sum, mut weights) = (0, 0);
        for (weight, (requested, capacity)) in uses.filter(|(_, (_, capacity))| *capacity != 0) {
            let score = self.of(requested, capacity);
            if !shaped || score > 0 {
                sum += score * weight;
                weights += weight;
            }
        }
        match weights {
            0 => 0,
            _ if shaped => (sum as f64 / weights as f64).round() as i64,
            _ => sum / weights,
        }
    }
}

/// The value of a broken line, stretched from [`MAX_SHAPE_SCORE`] to [`MAX_NODE_SCORE`].
fn interpolate(shape: &[(i64, i64)], at: i64) -> i64 {
    let stretch = |score: i64| score * (MAX_NODE_SCORE / MAX_SHAPE_SCORE);
    let Some(next) = shape.iter().position(|(percent, _)| at <= *percent) else {
        return shape.last().map_or(0, |(_, score)| stretch(*score));
    };
    let (right, high) = shape[next];
    let Some((left, low)) = next.checked_sub(1).map(|before| shape[before]) else { return stretch(high) };
    stretch(low) + (stretch(high) - stretch(low)) * (at - left) / (right - left)
}

/// A resource of a node, found once for a pod.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measured<'a> {
    Cpu(i64),
    Memory(i64),
    Ephemeral(i64),
    Extended(&'a str, i64),
}

impl<'a> Measured<'a> {
    /// The resource with what the pod adds to it, of CPU and memory as `base` says; `None` for an extended one that the pod does not
    /// ask for.
    pub(crate) fn new(name: &'a str, pod: &PodInfo, base: Amounts) -> Option<Self> {
        Some(match name {
            "cpu" => Self::Cpu(base.milli_cpu),
            "memory" => Self::Memory(base.memory),
            "ephemeral-storage" => Self::Ephemeral(pod.requests.base.ephemeral_storage),
            name => Self::Extended(name, Some(pod.requests.get(name)).filter(|amount| *amount != 0)?),
        })
    }

    /// What the pod adds.
    pub(crate) fn wanted(self) -> i64 {
        match self {
            Self::Cpu(amount)
            | Self::Memory(amount)
            | Self::Ephemeral(amount)
            | Self::Extended(_, amount) => amount,
        }
    }

    /// What would be requested of a node with the pod on it, and what the node has.
    pub(crate) fn on(self, node: NodeView<'_>, assumed: bool) -> (i64, i64) {
        let used = if assumed { node.nonzero_requested() } else { node.requested() };
        let total = node.allocatable();
        match self {
            Self::Cpu(amount) => (used.milli_cpu + amount, total.milli_cpu),
            Self::Memory(amount) => (used.memory + amount, total.memory),
            Self::Ephemeral(amount) => (node.requested().ephemeral_storage + amount, total.ephemeral_storage),
            Self::Extended(name, amount) => {
                let (total, used) = node.extended(name);
                (used + amount, total)
            }
        }
    }
}
