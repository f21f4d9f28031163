//! The embedded runtime, its supervisor, images and network, for real. All need root; each makes a host network namespace of its own, so
//! that the machine's network stays as it is.

#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

mod container;
mod exec;
mod isolation;
mod mounts;
mod network;
mod node;
mod stream;
mod suite;
mod survival;

/// Not a test: the supervisors of the other tests are this program, started with this test's name and `argv[0]` `kube-shim`.
#[test]
fn supervisor_entry() {
    kube_node::shim::maybe_run();
}
