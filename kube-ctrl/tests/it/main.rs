//! Controllers against an API in process, in paused time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod collection;
mod election;
mod fake;
mod idle;
mod namespaces;
mod nodes;
mod workloads;
