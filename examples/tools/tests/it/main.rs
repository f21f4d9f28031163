//! The binaries, as processes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod apiserver;
mod binary;
mod engines;
#[cfg(feature = "etcd-client")]
mod etcd_client;
mod identity;
mod process;
mod quota;
mod store_group;
