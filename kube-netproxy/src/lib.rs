//! Kubernetes service load balancing and cluster DNS, compiled to a dataplane.
//!
//! Services and EndpointSlices are compiled to a [`Ruleset`], a plain value; a [`Dataplane`] makes the difference to the last
//! one real, in one transaction. [`Proxy`] does both for as long as a cluster changes.
//!
//! It does not assign cluster IPs or node ports, does not make EndpointSlices, and does not connect pods to each other:
//! those are the work of the API server, of controllers and of the pod network. Topology hints,
//! `loadBalancerSourceRanges` and network policies are not looked at yet.
//!
//! ```
//! use kube_netproxy::{Config, compile};
//!
//! let service = serde_json::from_str(
//!     r#"{"metadata": {"name": "web", "namespace": "default"},
//!         "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}}"#,
//! )?;
//! let slice = serde_json::from_str(
//!     r#"{"metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
//!         "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": [{"addresses": ["10.0.0.7"]}]}"#,
//! )?;
//! let ruleset = compile([&service], [&slice], &Config::default());
//! let (key, frontend) = ruleset.frontends().next().expect("one frontend");
//! assert_eq!((key.port, frontend.target.backends()[0].to_string()), (80, "10.0.0.7:8080".to_owned()));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # Modules
//! - `ruleset`: what one service address does with its traffic, and the journal of changes.
//! - `compile`: services and slices to rules, pure; [`Compiler`] does it object by object.
//! - `dataplane`: the seam. `nftables`: [`Nftables`], the kernel's packet filter over netlink. `userspace`: [`Userspace`], sockets
//!   for processes without privileges. `testing` (feature): one in memory, and what every dataplane has to pass.
//! - `driver`: [`Proxy`], from a cluster to a dataplane.
//! - [`dns`]: names for services and pods; usable alone.

mod compile;
mod config;
mod dataplane;
pub mod dns;
mod driver;
mod error;
mod feed;
mod netlink;
mod nftables;
mod ruleset;
#[cfg(feature = "testing")]
pub mod testing;
mod userspace;

pub use compile::{Compiler, compile, compile_service};
pub use config::Config;
pub use dataplane::{Applied, Dataplane};
pub use driver::{Proxy, Status};
pub use error::{Error, Result};
pub use nftables::Nftables;
pub use ruleset::{
    Backend, Change, Changes, Destination, Family, Frontend, FrontendKey, Masquerade, Protocol, Ruleset,
    ServiceRules, Target, Version,
};
pub use userspace::{Userspace, UserspaceConfig};
