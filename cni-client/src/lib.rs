//! Attaches containers to networks through [CNI][spec] plugin binaries: it reads network configuration lists and runs their
//! plugin chains (`ADD`, `CHECK`, `DEL`, `STATUS`, `GC`, `VERSION`).
//!
//! It follows the specification's version 1.1.0 and speaks 0.3.0 to 1.1.0 to plugins. It makes no network namespaces and
//! configures no interfaces itself; that is the plugins' work.
//!
//! # Example
//!
//! ```no_run
//! use cni_client::{Attachment, Client, Config, NetworkList};
//!
//! # async fn example() -> Result<(), cni_client::Error> {
//! let client = Client::new(Config { plugin_dirs: vec!["/opt/cni/bin".into()], ..Config::default() });
//! let network = NetworkList::first_in("/etc/cni/net.d")?;
//! let attachment = Attachment::new("container-1", "/var/run/netns/one", "eth0");
//! let result = client.add(&network, &attachment).await?;
//! println!("the container's address is {}", result.ips[0].address);
//! client.del(&network, &attachment).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! - [`Client`]: the operations of the specification's section 2 over a whole list (`client.rs`).
//! - [`NetworkList`]: a configuration list, section 1 (`network.rs`); [`Attachment`]: what is attached to it.
//! - [`AddResult`]: addresses, routes and interfaces, section 5 (`result.rs`).
//! - `cache.rs` keeps results between `ADD` and `DEL`, as the specification asks; `exec.rs` runs one plugin.
//! - [`Error`]: what went wrong, grouped by the caller's next step.
//!
//! [spec]: https://github.com/containernetworking/cni/blob/main/SPEC.md

mod attachment;
mod cache;
mod client;
mod config;
mod error;
mod exec;
mod network;
mod result;

pub use attachment::Attachment;
pub use client::Client;
pub use config::Config;
pub use error::{Error, Result};
pub use network::{NetworkList, Plugin};
pub use result::{AddResult, Address, Dns, Interface, Route};
