//! What the caller decides.

use crate::{Clock, Error, Result};
use std::time::Duration;

/// The names of all controllers, as upstream's `--controllers` flag knows them.
pub const CONTROLLERS: [&str; 13] = [
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "replicaset-controller",
    "deployment-controller",
    "endpointslice-controller",
    "endpoints-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "node-ipam-controller",
    "garbage-collector-controller",
    "pod-garbage-collector-controller",
    "resourceclaim-controller",
];

/// Settings of the [`ControllerManager`](crate::ControllerManager).
#[derive(Clone, Debug)]
pub struct Config {
    /// The controllers to run, by name; `*` stands for all, `-name` leaves one out. Default: `["*"]`.
    pub controllers: Vec<String>,
    /// The certificate authority, as PEM, that `kube-root-ca.crt` config maps carry. Default: empty, which publishes none.
    pub root_ca: String,
    /// The IPv4 network that nodes get their pod networks from, as `address/length`. Default: `10.244.0.0/16`.
    pub cluster_cidr: String,
    /// The prefix length of one node's pod network. Default: 24.
    pub node_cidr_mask: u8,
    /// How long a node may be silent before it counts as unreachable. Default: 40 s.
    pub node_monitor_grace: Duration,
    /// How often nodes are looked at. Default: 5 s.
    pub node_monitor_period: Duration,
    /// How many ended pods are kept before the oldest are deleted; 0 keeps all. Default: 12500.
    pub terminated_pod_threshold: usize,
    /// How many keys may wait in one controller's queue. Default: 100000.
    pub queue_capacity: usize,
    /// The wall clock. Default: the machine's time at the moment of the call, moving with tokio's clock.
    pub clock: Clock,
    /// What decides jitter, for a run to be repeatable. Default: 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            controllers: vec!["*".into()],
            root_ca: String::new(),
            cluster_cidr: "10.244.0.0/16".into(),
            node_cidr_mask: 24,
            node_monitor_grace: Duration::from_secs(40),
            node_monitor_period: Duration::from_secs(5),
            terminated_pod_threshold: 12_500,
            queue_capacity: 100_000,
            clock: Clock::system(),
            seed: 0,
        }
    }
}

impl Config {
    /// Checks what can be checked without a cluster.
    ///
    /// # Errors
    /// [`Error::Config`] says what is wrong.
    pub fn validate(&self) -> Result<()> {
        let known = |name: &String| name == "*" || CONTROLLERS.contains(&name.trim_start_matches('-'));
        if !self.controllers.iter().all(known) {
            return Err(Error::Config("an unknown controller is named"));
        }
        if self.queue_capacity == 0 {
            return Err(Error::Config("the queue capacity is zero"));
        }
        if self.node_monitor_period.is_zero() {
            return Err(Error::Config("the node monitor period is zero"));
        }
        crate::nodeipam::Pool::parse(&self.cluster_cidr, self.node_cidr_mask).map(|_| ())
    }

    /// Whether a controller is to run.
    pub fn runs(&self, name: &str) -> bool {
        let off = self.controllers.iter().any(|word| word.strip_prefix('-') == Some(name));
        !off && self.controllers.iter().any(|word| word == "*" || word == name)
    }
}
