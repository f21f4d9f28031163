//! The agent: a node's pods from the API server, each to its worker.

mod dispatch;
mod images;
mod logs;
mod manifest;
mod mirrors;
mod run;
#[cfg(test)]
pub(crate) mod tests;
mod view;

pub use run::Agent;
pub(crate) use view::PodTable;
