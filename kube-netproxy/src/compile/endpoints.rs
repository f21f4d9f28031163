//! Which endpoints of a service are usable from this node.
//!
//! The rules are those of kube-proxy: ready endpoints; if there are none, those that terminate but still serve; decided
//! separately for all endpoints and for those on this node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::{Backend, Family, Protocol, Target};

/// What is known of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    ready: bool,
    draining: bool,
    local: bool,
}

/// The endpoints of one port of one service, in one family.
#[derive(Debug, Default)]
pub(super) struct Endpoints(BTreeMap<Backend, State>);

impl Endpoints {
    /// Gathers the endpoints that serve `port`, by the port's name and protocol.
    pub(super) fn of(port: &ServicePort, family: Family, slices: &[&EndpointSlice], node: &str) -> Self {
        let mut all = Self::default();
        for slice in slices.iter().filter(|slice| family_of(slice) == Some(family)) {
            for number in port_numbers(slice, port) {
                for endpoint in &slice.endpoints {
                    all.add(endpoint, family, number, node);
                }
            }
        }
        all
    }

    fn add(&mut self, endpoint: &Endpoint, family: Family, port: u16, node: &str) {
        let state = state_of(endpoint, node);
        // All addresses of one endpoint stand for the same thing; the first one is used, as everywhere in Kubernetes.
        let Some(address) = endpoint.addresses.first().and_then(|a| a.parse::<IpAddr>().ok()) else {
            return;
        };
        if Family::of(address) != family || address.is_unspecified() {
            return;
        }
        // During a move between slices an endpoint can be in two of them: the better word counts.
        let known = self.0.entry(Backend { address, port }).or_insert(state);
        known.ready |= state.ready;
        known.draining |= state.draining;
        known.local |= state.local;
    }

    /// What connections get that may go anywhere in the cluster.
    pub(super) fn cluster(&self) -> Target {
        self.usable(|_| true).map_or(Target::Reject, Target::Balance)
    }

    /// What connections get that have to stay on this node.
    pub(super) fn local(&self) -> Target {
        match self.usable(|state| state.local) {
            Some(backends) => Target::Balance(backends),
            None if self.usable(|_| true).is_some() => Target::Drop,
            None => Target::Reject,
        }
    }

    fn usable(&self, reachable: impl Fn(&State) -> bool) -> Option<Arc<[Backend]>> {
        self.pick(|state| state.ready && reachable(state))
            .or_else(|| self.pick(|state| state.draining && reachable(state)))
    }

    fn pick(&self, wanted: impl Fn(&State) -> bool) -> Option<Arc<[Backend]>> {
        let picked: Arc<[Backend]> =
            self.0.iter().filter(|(_, state)| wanted(state)).map(|(backend, _)| *backend).collect();
        (!picked.is_empty()).then_some(picked)
    }

    /// Addresses of the endpoints on this node.
    pub(super) fn local_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter(|(_, state)| state.local).map(|(backend, _)| backend.address)
    }
}

fn family_of(slice: &EndpointSlice) -> Option<Family> {
    match slice.address_type.as_str() {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => None,
    }
}

/// Unset conditions mean "ready" and "serving", but not "terminating".
fn state_of(endpoint: &Endpoint, node: &str) -> State {
    let conditions = endpoint.conditions.as_ref();
    let serving = conditions.and_then(|c| c.serving).unwrap_or(true);
    let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
    State {
        ready: conditions.and_then(|c| c.ready).unwrap_or(true),
        draining: serving && terminating,
        local: !node.is_empty() && endpoint.node_name.as_deref() == Some(node),
    }
}

fn port_numbers(slice: &EndpointSlice, wanted: &ServicePort) -> impl Iterator<Item = u16> {
    let name = wanted.name.as_deref().unwrap_or_default();
    let protocol = Protocol::parse(wanted.protocol.as_deref());
    slice
        .ports
        .iter()
        .flatten()
        .filter(move |port| {
            port.name.as_deref().unwrap_or_default() == name
                && Protocol::parse(port.protocol.as_deref()) == protocol
        })
        .filter_map(|port| u16::try_from(port.port?).ok())
}
