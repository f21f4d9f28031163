//! Tests of the stores from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod codegen;
mod conformance;
mod crash;
mod durable;
mod etcdctl;
mod model;
mod raft;
mod upkeep;
