//! A node must have room for a pod; how full it is makes it better or worse.

mod args;
mod filter;
mod hints;
mod score;
mod strategy;

#[cfg(test)]
mod tests;

use crate::framework::Plugin;

pub(super) use strategy::{Measured, cpu_and_memory};
pub use strategy::{ResourceWeight, ScoringStrategy};

/// Refuses nodes without enough free resources, and scores the others by how full they would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeResourcesFit {
    /// Extended resources that somebody else looks after. Default: none.
    pub ignored_resources: Vec<String>,
    /// Groups of such resources: what their names have before the slash. Default: none.
    pub ignored_resource_groups: Vec<String>,
    /// Which nodes are better. Default: those with more left.
    pub strategy: ScoringStrategy,
    /// The resources that are scored. Default: CPU and memory, the same weight each.
    pub resources: Vec<ResourceWeight>,
}

impl Default for NodeResourcesFit {
    fn default() -> Self {
        Self {
            ignored_resources: Vec::new(),
            ignored_resource_groups: Vec::new(),
            strategy: ScoringStrategy::default(),
            resources: cpu_and_memory(),
        }
    }
}

impl NodeResourcesFit {
    /// The plugin's name.
    pub const NAME: &str = "NodeResourcesFit";
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(Filter, Score, QueueingHints);
}
