//! Kubernetes service load balancing and cluster DNS, compiled to a dataplane.

mod compile;
mod config;
mod dataplane;
mod error;
mod netlink;
mod nftables;
mod ruleset;

pub use compile::{Compiler, compile, compile_service};
pub use config::Config;
pub use dataplane::{Applied, Dataplane};
pub use error::{Error, Result};
pub use nftables::Nftables;
pub use ruleset::{
    Backend, Change, Changes, Destination, Family, Frontend, FrontendKey, Masquerade, Protocol, Ruleset,
    ServiceRules, Target, Version,
};
