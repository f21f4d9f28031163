//! What every implementation of a [`seam`](crate::seam) has to pass, and implementations in memory (feature `testing`).
//!
//! Each suite panics at the first breach of the contract, with a message that says what was expected. They start nothing of their own: what an
//! implementation needs is handed in by a harness.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use kube_node::testing::{FakeNetwork, FakeStorage, NetworkHarness, StorageHarness, network_suite, storage_suite};
//!
//! network_suite(&NetworkHarness::new(Arc::new(FakeNetwork::default()), ["/netns/a", "/netns/b"])).await;
//!
//! let scratch = std::env::temp_dir().join(format!("kube-node-doc-{}", std::process::id()));
//! let storage = FakeStorage::new("fake.example.com", scratch.join("volumes"));
//! storage_suite(&StorageHarness::new(Arc::new(storage), "data", scratch.join("node"))).await;
//! # std::fs::remove_dir_all(scratch)?;
//! # Ok(())
//! # }
//! ```
//!
//! A runtime whose images have a shell needs as much; one without describes its workloads itself ([`RuntimeHarness`]):
//!
//! ```no_run
//! # async fn check(runtime: std::sync::Arc<dyn kube_node::seam::Runtime>, scratch: std::path::PathBuf) {
//! use kube_node::testing::{RuntimeHarness, image_suite, runtime_suite};
//!
//! let image = "docker.io/library/busybox:latest";
//! let harness = RuntimeHarness::with_shell(runtime.clone(), image, &["sh"], scratch);
//! runtime_suite(&harness).await;
//! image_suite(&*runtime.images(), image).await;
//! # }
//! ```
#![expect(clippy::unwrap_used, reason = "a suite reports by panicking")]

mod fake_network;
mod fake_storage;
mod image;
mod network;
mod runtime;
mod storage;

pub use fake_network::FakeNetwork;
pub use fake_storage::FakeStorage;
pub use image::{ABSENT_IMAGE, image_suite};
pub use network::{NetworkHarness, network_suite};
pub use runtime::{RuntimeHarness, Workload, runtime_suite};
pub use storage::{StorageHarness, storage_suite};
