//! Tests of the stores from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod codegen;
mod conformance;
mod crash;
mod decoders;
mod differential;
mod durable;
mod etcdctl;
mod exercise;
mod front;
mod model;
mod peer;
mod raft;
mod streams;
mod upkeep;
mod users;
#[path = "../../src/etcd/gen/mod.rs"]
mod wire;
