//! The scheduling decision: a pure function of a snapshot, a pod, a profile and a seeded generator.

mod cycle;
mod decision;
mod filters;
mod rank;
mod reuse;
mod search;

#[cfg(test)]
mod tests;

pub use cycle::{check_node, schedule};
pub use decision::{Decision, FailedAt, Outcome, PluginScores};
pub use reuse::Reuse;
pub use search::feasible_nodes_to_find;

pub(crate) use cycle::{place, remedy, search};
pub(crate) use decision::count_reasons;
pub(crate) use filters::Filters;
