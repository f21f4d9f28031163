//! The kubelet's HTTP interface, over connections in memory and the fake runtime.

#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

mod exec;
mod logs;
mod node;
mod refusals;
