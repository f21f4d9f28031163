//! Settings of cluster DNS.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::rr::Name;

use crate::{Error, Result};

/// Settings of cluster DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The cluster's domain. Default: `cluster.local`.
    pub cluster_domain: String,
    /// Servers asked for all other names, in this order. Default: none; such names are refused.
    pub upstreams: Vec<SocketAddr>,
    /// Seconds for which clients may keep answers about the cluster. Default: 30.
    pub ttl: u32,
    /// Time an upstream has to answer before the next is asked. Default: 2 s.
    pub upstream_timeout: Duration,
    /// Questions forwarded at a time; more are answered with "server failure". Default: 1000.
    pub in_flight: usize,
    /// Forwarded answers kept. Default: 10,000.
    pub cache_entries: usize,
    /// Longest time for which a forwarded answer is kept. Default: 1 h.
    pub cache_ttl: Duration,
    /// TCP connections at a time; more wait. Default: 256.
    pub connections: usize,
    /// Silence after which a TCP connection is closed. Default: 10 s.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster_domain: "cluster.local".into(),
            upstreams: Vec::new(),
            ttl: 30,
            upstream_timeout: Duration::from_secs(2),
            in_flight: 1000,
            cache_entries: 10_000,
            cache_ttl: Duration::from_secs(3600),
            connections: 256,
            idle_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// The cluster's domain as a name, ending in a dot.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none.
    pub(crate) fn domain(&self) -> Result<Name> {
        let invalid = |reason: String| Error::Invalid { field: "cluster_domain", reason };
        let mut name = Name::from_ascii(&self.cluster_domain).map_err(|error| invalid(error.to_string()))?;
        if name.is_root() {
            return Err(invalid("must not be empty".into()));
        }
        name.set_fqdn(true);
        Ok(name.to_lowercase())
    }

    /// Says whether the values make sense.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field.
    pub fn validate(&self) -> Result<()> {
        self.domain()?;
        for (field, value) in [("in_flight", self.in_flight), ("connections", self.connections)] {
            if value == 0 {
                return Err(Error::Invalid { field, reason: "must be more than zero".into() });
            }
        }
        Ok(())
    }
}
