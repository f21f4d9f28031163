//! Speaks the [Container Runtime Interface][cri], version 1, to a container runtime (containerd, CRI-O) over its unix socket.
//!
//! A [`Client`] has one method for each RPC of the runtime and image services, with the deadline the kubelet gives it and
//! an [`Error`] that says what the caller can do. [`streaming`] carries exec and attach sessions over the URL that a runtime
//! hands out for them. The messages of the protocol are in [`v1`], exactly as the specification names them.
//!
//! This crate does not decide anything: it starts no pods of its own, retries nothing and knows no Kubernetes types.
//!
//! # Example
//!
//! ```no_run
//! use cri_client::{Client, v1};
//!
//! # async fn example() -> Result<(), cri_client::Error> {
//! let client = Client::connect("/run/containerd/containerd.sock", Default::default()).await?;
//! let version = client.version(v1::VersionRequest::default()).await?;
//! let sandboxes = client.list_pod_sandbox(v1::ListPodSandboxRequest::default()).await?;
//! println!("{} runs {} pods", version.runtime_name, sandboxes.items.len());
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! - [`Client`]: the connection and its calls (`client.rs`); [`Config`]: deadlines and size limits.
//! - [`Error`]: what went wrong, grouped by the caller's next step.
//! - [`streaming`]: stdin, stdout, stderr, resize and exit status over a WebSocket.
//! - [`v1`]: the generated messages; with the feature `server` also the traits that a runtime implements.
//!
//! [cri]: https://github.com/kubernetes/cri-api

mod client;
mod config;
mod error;
mod r#gen;
mod redact;
pub mod streaming;

pub use client::{Client, Events};
pub use config::Config;
pub use error::{Error, Result};
pub use r#gen::runtime_v1 as v1;
