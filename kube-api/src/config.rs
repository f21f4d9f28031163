//! Settings.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::clock::Clock;
use crate::error::{Error, Result};

/// Settings of an [`crate::ApiServer`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses of services; the first one is the `kubernetes` service's. Default: 10.96.0.0/12.
    pub service_cidr: IpNet,
    /// Ports of NodePort and LoadBalancer services. Default: 30000-32767.
    pub node_ports: RangeInclusive<u16>,
    /// Where pods reach this server: what the `kubernetes` service leads to, unless it is a loopback address.
    /// Default: 127.0.0.1.
    pub advertise_address: IpAddr,
    /// The port there. Default: 6443.
    pub advertise_port: u16,
    /// Issuer of service account tokens. Default: `https://kubernetes.default.svc.cluster.local`.
    pub issuer: String,
    /// Audiences of service account tokens that this server accepts. Default: the issuer.
    pub audiences: Vec<String>,
    /// PKCS#8 PEM of the P-256 key that signs service account tokens; without one they are neither issued nor accepted.
    /// Default: none.
    pub service_account_key: Option<String>,
    /// Largest body in bytes. Default: 3 MiB.
    pub max_body_bytes: usize,
    /// The longest a request that is no watch and no stream may take. Default: 60 s.
    pub request_timeout: Duration,
    /// Watches without `timeoutSeconds` end after a random time between this and twice this. Default: 30 min.
    pub min_watch_timeout: Duration,
    /// Bytes of recent changes kept per kind, so that watches can start in the past. Default: 8 MiB.
    pub watch_ring_bytes: usize,
    /// Changes that may wait for one watcher before it is cut. Default: 8192.
    pub watch_queue: usize,
    /// How often watchers that allow it get a bookmark. Default: 60 s.
    pub bookmark_interval: Duration,
    /// How long events are kept. Default: 1 h.
    pub event_ttl: Duration,
    /// Bodies from this size on are compressed for clients that accept it, in bytes. Default: 128 KiB.
    pub gzip_from_bytes: usize,
    /// The clock that timestamps come from. Default: the system's.
    pub clock: Clock,
    /// Seed of generated names; uids too. Default: random.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        let issuer = "https://kubernetes.default.svc.cluster.local".to_owned();
        Self {
            service_cidr: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12)),
            node_ports: 30000..=32767,
            advertise_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertise_port: 6443,
            audiences: vec![issuer.clone()],
            issuer,
            service_account_key: None,
            max_body_bytes: 3 * 1024 * 1024,
            request_timeout: Duration::from_secs(60),
            min_watch_timeout: Duration::from_secs(1800),
            watch_ring_bytes: 8 * 1024 * 1024,
            watch_queue: 8192,
            bookmark_interval: Duration::from_secs(60),
            event_ttl: Duration::from_secs(3600),
            gzip_from_bytes: 128 * 1024,
            clock: Clock::system(),
            seed: None,
        }
    }
}

impl Config {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// [`Error::BadRequest`] names the setting that does not.
    pub fn validate(&self) -> Result<()> {
        let checks = [
            (self.max_body_bytes > 0, "max_body_bytes must not be 0"),
            (self.watch_queue > 0, "watch_queue must not be 0"),
            (self.watch_ring_bytes > 0, "watch_ring_bytes must not be 0"),
            (!self.bookmark_interval.is_zero(), "bookmark_interval must not be 0"),
            (!self.request_timeout.is_zero(), "request_timeout must not be 0"),
            (!self.min_watch_timeout.is_zero(), "min_watch_timeout must not be 0"),
            (!self.node_ports.is_empty(), "node_ports must not be empty"),
            (!self.issuer.is_empty(), "issuer must not be empty"),
            (
                self.service_cidr.prefix_len() < self.service_cidr.max_prefix_len(),
                "service_cidr is too small",
            ),
        ];
        let failed = checks.iter().find(|(holds, _)| !holds);
        failed.map_or(Ok(()), |(_, text)| Err(Error::bad_request(text)))
    }
}
