//! A pod network that only keeps books.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::seam::{NetworkPlugin, NetworkReady, NetworkStatus, PodNetwork, SandboxId};
use crate::{Error, Result};

/// A pod network that hands out addresses and touches nothing, so that it works without root and with namespaces that do not exist.
#[derive(Debug, Default)]
pub struct FakeNetwork {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ranges: Vec<IpNet>,
    added: BTreeMap<SandboxId, NetworkStatus>,
}

impl FakeNetwork {
    /// The sandboxes that have a network, with what they got.
    #[must_use]
    pub fn sandboxes(&self) -> BTreeMap<SandboxId, NetworkStatus> {
        self.state.lock().added.clone()
    }
}

impl State {
    /// The first free address of a range; network and gateway address are not given out.
    fn free(&self, range: &IpNet) -> Result<IpAddr> {
        let taken = |address: &IpAddr| {
            self.added.values().any(|status| status.ips.iter().any(|ip| ip.addr() == *address))
        };
        let mut hosts = range.hosts().filter(|host| *host != range.network());
        // The first host is the gateway.
        hosts.next();
        let free = hosts.find(|host| !taken(host));
        free.ok_or_else(|| Error::Failed(format!("no free address in {range}")))
    }
}

#[async_trait]
impl NetworkPlugin for FakeNetwork {
    async fn configure(&self, pod_cidrs: &[IpNet]) -> Result<()> {
        self.state.lock().ranges = pod_cidrs.to_vec();
        Ok(())
    }

    async fn add(&self, pod: &PodNetwork) -> Result<NetworkStatus> {
        let mut state = self.state.lock();
        if let Some(status) = state.added.get(&pod.sandbox) {
            return Ok(status.clone());
        }
        if state.ranges.is_empty() {
            return Err(Error::Unavailable { what: "pod network", reason: "it has no range yet".into() });
        }
        let addresses: Result<Vec<IpNet>> =
            state.ranges.iter().map(|range| state.free(range).map(IpNet::from)).collect();
        let status = NetworkStatus { ips: addresses?, ..NetworkStatus::default() };
        state.added.insert(pod.sandbox.clone(), status.clone());
        Ok(status)
    }

    async fn remove(&self, pod: &PodNetwork) -> Result<()> {
        self.state.lock().added.remove(&pod.sandbox);
        Ok(())
    }

    async fn check(&self, pod: &PodNetwork) -> Result<()> {
        match self.state.lock().added.contains_key(&pod.sandbox) {
            true => Ok(()),
            false => Err(Error::Failed(format!("sandbox {} has no network", pod.sandbox))),
        }
    }

    async fn ready(&self) -> Result<NetworkReady> {
        let ready = !self.state.lock().ranges.is_empty();
        let word = |text: &str| if ready { String::new() } else { text.to_owned() };
        Ok(NetworkReady { ready, reason: word("NoPodCIDR"), message: word("there is no pod range yet") })
    }
}
