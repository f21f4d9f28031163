//! The seam's methods.

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use ipnet::{IpNet, Ipv4Net};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::config::NetworkConfig;
use super::filter::{self, Content};
use super::lease::Leases;
use super::link::{Cable, Host};
use crate::seam::{NetworkPlugin, NetworkReady, NetworkStatus, PodNetwork, Protocol};
use crate::{Error, Result};

/// The built-in pod network; see [the module's documentation](super).
#[derive(Debug)]
pub struct RoutedNetwork {
    config: NetworkConfig,
    host: Host,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    leases: Leases,
    ranges: Vec<Ipv4Net>,
    /// What the table in the kernel says; `None` when that is not known.
    applied: Option<Content>,
}

impl RoutedNetwork {
    /// Reads the leases; changes nothing in the kernel before [`configure`](NetworkPlugin::configure).
    ///
    /// # Errors
    /// When the configuration is invalid or the leases cannot be read.
    pub fn open(config: NetworkConfig) -> Result<Self> {
        config.validate()?;
        let dir = config.state_dir.join("leases");
        let leases = Leases::open(&dir).map_err(Error::io(format!("read {}", dir.display())))?;
        let host = Host { netns: config.host_netns.clone() };
        Ok(Self { config, host, state: Mutex::new(State { leases, ranges: Vec::new(), applied: None }) })
    }

    /// Does something that waits for the kernel where that holds nobody up.
    async fn on_host<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Host) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let host = self.host.clone();
        let done = tokio::task::spawn_blocking(move || act(&host)).await;
        done.map_err(|error| Error::Failed(format!("change the pod network: {error}")))?
    }

    /// The host end's name: from the sandbox, so that it can be found again without a record.
    fn host_interface(&self, sandbox: &str) -> String {
        let prefix: String = self.config.name.chars().take(4).collect();
        let hash = Sha256::digest(sandbox.as_bytes());
        hash.iter().take(5).fold(prefix, |name, byte| name + &format!("{byte:02x}"))
    }

    /// Brings the table up to date with ranges and leases.
    async fn apply(&self, state: &mut State) -> Result<()> {
        let ports = state.leases.iter().flat_map(|(address, lease)| {
            let IpAddr::V4(address) = address else { return Vec::new() };
            lease.ports.iter().map(|port| (address, port.clone())).collect()
        });
        let content = Content {
            pods: state.ranges.clone(),
            cluster: ipv4(&self.config.cluster_cidrs),
            ports: ports.collect(),
        };
        if state.applied.as_ref() != Some(&content) {
            state.applied = None;
            let (name, wanted) = (self.config.name.clone(), content.clone());
            self.on_host(move |host| filter::apply(host, &name, &wanted)).await?;
            state.applied = Some(content);
        }
        Ok(())
    }

    /// Takes an address, and enters the pod's host ports into the table.
    async fn reserve(&self, pod: &PodNetwork) -> Result<(Ipv4Addr, Ipv4Addr)> {
        if let Some(port) = pod.port_mappings.iter().find(|port| port.protocol == Protocol::Sctp) {
            return Err(Error::Invalid(format!("host port {}: SCTP is not supported", port.host_port)));
        }
        let mut state = self.state.lock().await;
        let range = *state.ranges.first().ok_or(Error::Unavailable {
            what: "pod network",
            reason: "the node has no pod range yet".into(),
        })?;
        let taken = state.leases.take(range, &pod.sandbox.0, &pod.port_mappings)?;
        self.apply(&mut state).await?;
        Ok(taken)
    }
}

fn ipv4(ranges: &[IpNet]) -> Vec<Ipv4Net> {
    ranges
        .iter()
        .filter_map(|range| if let IpNet::V4(range) = range { Some(range.trunc()) } else { None })
        .collect()
}

#[async_trait]
impl NetworkPlugin for RoutedNetwork {
    async fn configure(&self, pod_cidrs: &[IpNet]) -> Result<()> {
        let ranges = ipv4(pod_cidrs);
        if let Some(small) = ranges.iter().find(|range| range.prefix_len() > 30) {
            return Err(Error::Invalid(format!("pod range {small} has no room for a pod")));
        }
        if ranges.is_empty() && !pod_cidrs.is_empty() {
            return Err(Error::Unsupported("a pod network without IPv4"));
        }
        let mut state = self.state.lock().await;
        let wanted = ranges.clone();
        self.on_host(move |host| wanted.into_iter().try_for_each(|range| host.prepare(range))).await?;
        state.ranges = ranges;
        self.apply(&mut state).await
    }

    async fn add(&self, pod: &PodNetwork) -> Result<NetworkStatus> {
        let (address, gateway) = self.reserve(pod).await?;
        let host_interface = self.host_interface(&pod.sandbox.0);
        let cable = Cable {
            host_interface: host_interface.clone(),
            interface: pod.interface.clone(),
            netns: pod.netns.clone(),
            address,
            gateway,
            mtu: self.config.mtu,
        };
        let mac = cable.mac_text();
        let plug = move |host: &Host| match host.has(&cable.host_interface)? {
            true => Ok(()),
            false => host.plug(&cable),
        };
        self.on_host(plug).await?;
        Ok(NetworkStatus {
            ips: vec![IpNet::V4(Ipv4Net::from(address))],
            gateway: Some(gateway.into()),
            mac,
            host_interface,
        })
    }

    async fn remove(&self, pod: &PodNetwork) -> Result<()> {
        // The cable first: an address is free only when nobody answers to it any more.
        let interface = self.host_interface(&pod.sandbox.0);
        self.on_host(move |host| host.unplug(&interface)).await?;
        let mut state = self.state.lock().await;
        state.leases.release(&pod.sandbox.0)?;
        self.apply(&mut state).await
    }

    async fn check(&self, pod: &PodNetwork) -> Result<()> {
        let interface = self.host_interface(&pod.sandbox.0);
        if self.state.lock().await.leases.of(&pod.sandbox.0).is_none() {
            return Err(Error::Failed("the sandbox has no address".to_owned()));
        }
        self.on_host(move |host| match host.has(&interface)? {
            true => Ok(()),
            false => Err(Error::Failed(format!("interface {interface} is gone"))),
        })
        .await
    }

    async fn ready(&self) -> Result<NetworkReady> {
        if self.state.lock().await.ranges.is_empty() {
            return Ok(NetworkReady {
                ready: false,
                reason: "NoPodCIDR".to_owned(),
                message: "the node has no pod address range yet".to_owned(),
            });
        }
        Ok(NetworkReady { ready: true, ..NetworkReady::default() })
    }
}
