//! Tests of the stores from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod calls;
mod certified;
mod codegen;
mod conformance;
mod crash;
mod decoders;
mod differential;
mod durable;
mod etcdctl;
mod exercise;
mod front;
mod gateway;
mod metrics;
mod model;
mod peer;
mod planted;
mod queue;
mod raft;
mod standing;
mod streams;
mod upkeep;
mod users;
mod watchers;
#[path = "../../src/etcd/gen/mod.rs"]
mod wire;
