//! The scheduling decision: a pure function of a snapshot, a pod, a profile and a seeded generator.

mod cycle;
mod decision;

#[cfg(test)]
mod tests;

pub use cycle::{check_node, feasible_nodes_to_find, schedule};
pub use decision::{Decision, Outcome, PluginScores};

pub(crate) use decision::count_reasons;
