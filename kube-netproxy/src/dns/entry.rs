//! What DNS needs to know of one service.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Endpoints that may be named, by their names below the service's.
    pub(super) hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Ports by which the service can be found; of endpoints for headless services.
    pub(super) ports: Vec<Port>,
}

/// What a service's name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its virtual addresses.
    Addresses(Vec<IpAddr>),
    /// Its endpoints.
    Headless,
    /// Another name.
    External(String),
}

/// A named port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    /// Lower case.
    pub(super) name: String,
    /// Lower case: `tcp`, `udp`, `sctp`.
    pub(super) protocol: String,
    pub(super) number: u16,
    /// The endpoint's name for headless services; none for the service itself.
    pub(super) host: Option<String>,
}

impl Entry {
    pub(super) fn new<'a>(
        service: &Service,
        slices: impl Iterator<Item = &'a EndpointSlice>,
    ) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = spec.external_name.clone().filter(|name| !name.is_empty())?;
            return Some(Self { kind: Kind::External(target), hosts: BTreeMap::new(), ports: vec![] });
        }
        let listed = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
        let mut addresses: Vec<IpAddr> = listed.filter_map(|address| address.parse().ok()).collect();
        addresses.sort();
        addresses.dedup();
        let headless = spec.cluster_ip.as_deref() == Some("None");
        if addresses.is_empty() && !headless {
            return None;
        }
        let mut entry = Self {
            kind: if headless { Kind::Headless } else { Kind::Addresses(addresses) },
            hosts: BTreeMap::new(),
            ports: vec![],
        };
        slices.for_each(|slice| entry.add(slice, headless));
        if !headless {
            let own = spec.ports.iter().flatten();
            entry.ports =
                own.filter_map(|p| port(p.name.as_ref(), p.protocol.as_ref(), p.port, None)).collect();
        }
        entry.ports.sort();
        entry.ports.dedup();
        Some(entry)
    }

    fn add(&mut self, slice: &EndpointSlice, headless: bool) {
        for endpoint in slice.endpoints.iter().filter(|endpoint| ready(endpoint)) {
            for address in endpoint.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok()) {
                let host = host_name(endpoint, address);
                let addresses = self.hosts.entry(host.clone()).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
                if headless {
                    let ports = slice.ports.iter().flatten();
                    self.ports.extend(ports.filter_map(|p| {
                        port(p.name.as_ref(), p.protocol.as_ref(), p.port?, Some(host.clone()))
                    }));
                }
            }
        }
    }

    /// The addresses that the service's own name stands for.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        match &self.kind {
            Kind::Addresses(addresses) => addresses.clone(),
            Kind::Headless => self.hosts.values().flatten().copied().collect(),
            Kind::External(_) => vec![],
        }
    }
}

fn ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// The endpoint's host name, or its address with dashes.
fn host_name(endpoint: &Endpoint, address: IpAddr) -> String {
    match endpoint.hostname.as_deref() {
        Some(name) if !name.is_empty() => name.to_lowercase(),
        _ => address.to_string().replace(['.', ':'], "-"),
    }
}

fn port(name: Option<&String>, protocol: Option<&String>, number: i32, host: Option<String>) -> Option<Port> {
    Some(Port {
        name: name.map(|name| name.to_lowercase()).unwrap_or_default(),
        protocol: protocol.map_or_else(|| "tcp".into(), |protocol| protocol.to_lowercase()),
        number: u16::try_from(number).ok()?,
        host,
    })
}
