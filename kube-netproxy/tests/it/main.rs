//! Tests of the crate against real parts. Those named `root_*` make network namespaces of their own and never touch the one
//! they are started in.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod cluster;
mod dns;
mod driver;
mod network;
mod nftables;
mod objects;
mod userspace;
