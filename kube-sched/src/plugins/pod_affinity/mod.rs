//! Pods that must, must not, would or would rather not run beside certain other pods.

mod filter;
mod hints;
mod score;

#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::Error;
use crate::complaint::Complaints;
use crate::framework::{Plugin, PluginArgs};
use crate::plugins::args::{accept, decode};

/// Refuses nodes that break required affinity and anti-affinity, of the pod and of those that run already; prefers nodes
/// by the preferred terms of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InterPodAffinity {
    /// How much being required by a placed pod's affinity is worth in the score; unit: weight of a preferred term, 0 to 100.
    /// Default 1.
    pub hard_pod_affinity_weight: i64,
    /// Whether placed pods' preferences are ignored for pods that have none themselves. Default: they count.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignore_preferred_terms_of_existing_pods: false }
    }
}

impl InterPodAffinity {
    /// The plugin's name.
    pub const NAME: &str = "InterPodAffinity";

    /// Reads `InterPodAffinityArgs`.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields that do not exist and a weight outside 0 to 100.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let fields = &["hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods"];
        let plugin: Self = decode(Self::NAME, args, fields)?;
        let (mut complaints, weight) = (Complaints::default(), plugin.hard_pod_affinity_weight);
        let reason = "not in valid range [0, 100]";
        complaints.invalid_if(!(0..=100).contains(&weight), "hardPodAffinityWeight", weight, reason);
        accept(Self::NAME, complaints)?;
        Ok(plugin)
    }
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(Filter, Score, QueueingHints);
}
