//! Kubernetes service load balancing and cluster DNS, compiled to a dataplane.

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
