//! What is known about the cluster, and the answers that follow from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::Config;
use super::entry::{Entry, Kind, Port};
use crate::Result;
use crate::compile::key;
use crate::feed::Sink;

/// The version of the specification, told to those who ask for `dns-version`.
const VERSION: &str = "1.1.0";
/// Longest chain of services that name each other.
const MAX_ALIASES: usize = 8;

/// What the cluster says about a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The name is not the cluster's; others may know it.
    Foreign,
    /// There is no such name.
    NoName,
    /// These records, which may be none: the name exists, but has nothing of the wanted type.
    Records {
        /// Answers to the question.
        answers: Vec<Record>,
        /// Addresses of names in the answers.
        additionals: Vec<Record>,
    },
    /// The name stands for another one, which is not the cluster's.
    Alias {
        /// The records that say so.
        answers: Vec<Record>,
        /// The other name.
        target: Name,
    },
}

/// What is known about the cluster: services and their endpoints.
#[derive(Debug, Clone)]
pub struct Records {
    domain: Name,
    ttl: u32,
    serial: u32,
    services: HashMap<String, Service>,
    slices: HashMap<String, BTreeMap<String, EndpointSlice>>,
    owners: HashMap<String, String>,
    entries: HashMap<String, Entry>,
    namespaces: HashMap<String, usize>,
    reverse: HashMap<IpAddr, BTreeSet<String>>,
}

impl Records {
    /// Knows nothing but the domain.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for the configuration.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            domain: config.domain()?,
            ttl: config.ttl,
            serial: 1,
            services: HashMap::new(),
            slices: HashMap::new(),
            owners: HashMap::new(),
            entries: HashMap::new(),
            namespaces: HashMap::new(),
            reverse: HashMap::new(),
        })
    }

    /// Takes in a new or changed service.
    pub fn set_service(&mut self, service: Service) {
        let name = key(&service.metadata);
        self.services.insert(name.clone(), service);
        self.refresh(&name);
    }

    /// Forgets a service, by `namespace/name`.
    pub fn remove_service(&mut self, name: &str) {
        self.services.remove(name);
        self.refresh(name);
    }

    /// Takes in a new or changed slice.
    pub fn set_slice(&mut self, slice: EndpointSlice) {
        let name = key(&slice.metadata);
        let owner =
            slice.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name"));
        let owner =
            owner.map(|owner| format!("{}/{owner}", slice.metadata.namespace.as_deref().unwrap_or_default()));
        if self.owners.get(&name) != owner.as_ref() {
            self.remove_slice(&name);
        }
        if let Some(owner) = owner {
            self.owners.insert(name.clone(), owner.clone());
            self.slices.entry(owner.clone()).or_default().insert(name, slice);
            self.refresh(&owner);
        }
    }

    /// Forgets a slice, by `namespace/name`.
    pub fn remove_slice(&mut self, name: &str) {
        let Some(owner) = self.owners.remove(name) else { return };
        if let Some(slices) = self.slices.get_mut(&owner) {
            slices.remove(name);
            if slices.is_empty() {
                self.slices.remove(&owner);
            }
        }
        self.refresh(&owner);
    }

    /// Brings what is derived from a service up to date.
    fn refresh(&mut self, name: &str) {
        let slices = self.slices.get(name).into_iter().flat_map(BTreeMap::values);
        let entry = self.services.get(name).and_then(|service| Entry::new(service, slices));
        let old = match &entry {
            Some(entry) => self.entries.insert(name.to_owned(), entry.clone()),
            None => self.entries.remove(name),
        };
        if old == entry {
            return;
        }
        self.serial = self.serial.wrapping_add(1);
        let (namespace, service) = name.split_once('/').unwrap_or_default();
        for (address, name) in old.iter().flat_map(|old| pointers(old, namespace, service)) {
            if let Some(names) = self.reverse.get_mut(&address) {
                names.remove(&name);
                if names.is_empty() {
                    self.reverse.remove(&address);
                }
            }
        }
        for (address, name) in entry.iter().flat_map(|entry| pointers(entry, namespace, service)) {
            self.reverse.entry(address).or_default().insert(name);
        }
        let count = self.namespaces.entry(namespace.to_owned()).or_default();
        *count = (*count + usize::from(entry.is_some())).saturating_sub(usize::from(old.is_some()));
        if *count == 0 {
            self.namespaces.remove(namespace);
        }
    }

    /// Answers a question.
    #[must_use]
    pub fn lookup(&self, name: &Name, kind: RecordType) -> Answer {
        let mut answers = Vec::new();
        let mut name = name.clone();
        for _ in 0..MAX_ALIASES {
            match self.lookup_once(&name, kind) {
                Answer::Alias { answers: alias, target } => {
                    answers.extend(alias);
                    name = target;
                }
                Answer::Records { answers: more, additionals } => {
                    answers.extend(more);
                    return Answer::Records { answers, additionals };
                }
                // The alias exists even when its target does not.
                other if answers.is_empty() => return other,
                Answer::Foreign => return Answer::Alias { answers, target: name },
                Answer::NoName => break,
            }
        }
        Answer::Records { answers, additionals: vec![] }
    }

    fn lookup_once(&self, name: &Name, kind: RecordType) -> Answer {
        if !self.domain.zone_of(name) {
            return self.lookup_reverse(name, kind);
        }
        let depth = usize::from(name.num_labels() - self.domain.num_labels());
        let labels: Vec<String> =
            name.iter().take(depth).map(|label| String::from_utf8_lossy(label).to_lowercase()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match labels.as_slice() {
            [] => self.apex(name, kind),
            ["svc" | "pod"] => nothing(),
            ["dns-version"] if kind == RecordType::TXT => {
                answers(vec![self.record(name, RData::TXT(TXT::new(vec![VERSION.into()])))])
            }
            ["dns-version"] => nothing(),
            [namespace, "svc"] if self.namespaces.contains_key(*namespace) => nothing(),
            [pod, _, "pod"] => self.pod(name, pod, kind),
            [below @ .., service, namespace, "svc"] => {
                match self.entries.get(&format!("{namespace}/{service}")) {
                    Some(entry) => self.service(name, below, entry, kind),
                    None => Answer::NoName,
                }
            }
            _ => Answer::NoName,
        }
    }

    fn apex(&self, name: &Name, kind: RecordType) -> Answer {
        match kind {
            RecordType::SOA => answers(vec![self.soa()]),
            RecordType::NS => {
                match Name::from_ascii("ns.dns").and_then(|ns| ns.append_domain(&self.domain)) {
                    Ok(ns) => answers(vec![self.record(name, RData::NS(NS(ns)))]),
                    Err(_) => nothing(),
                }
            }
            _ => nothing(),
        }
    }

    fn service(&self, name: &Name, below: &[&str], entry: &Entry, kind: RecordType) -> Answer {
        if let Kind::External(target) = &entry.kind {
            return self.external(name, below, target);
        }
        match below {
            [] if kind == RecordType::SRV => self.srv(name, name, entry, &|_| true),
            [] => self.addresses(name, &entry.addresses(), kind),
            [port, protocol] => match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
                (Some(port), Some(protocol)) => self.named_port(name, port, protocol, entry, kind),
                _ => Answer::NoName,
            },
            [label] => match (entry.hosts.get(*label), label.strip_prefix('_')) {
                (Some(addresses), _) => self.addresses(name, addresses, kind),
                // Nothing is here, but something is below.
                (None, Some(protocol)) if entry.ports.iter().any(|port| port.protocol == protocol) => {
                    nothing()
                }
                _ => Answer::NoName,
            },
            _ => Answer::NoName,
        }
    }

    fn external(&self, name: &Name, below: &[&str], target: &str) -> Answer {
        let target = Name::from_ascii(target).ok().filter(|_| below.is_empty());
        match target {
            Some(mut target) => {
                target.set_fqdn(true);
                let alias = self.record(name, RData::CNAME(CNAME(target.clone())));
                Answer::Alias { answers: vec![alias], target }
            }
            None => Answer::NoName,
        }
    }

    fn named_port(&self, name: &Name, port: &str, protocol: &str, entry: &Entry, kind: RecordType) -> Answer {
        let wanted = |candidate: &Port| candidate.name == port && candidate.protocol == protocol;
        if !entry.ports.iter().any(wanted) {
            return Answer::NoName;
        }
        if kind != RecordType::SRV {
            return nothing();
        }
        self.srv(name, &name.base_name().base_name(), entry, &wanted)
    }

    /// One record per port and, for headless services, endpoint, with the addresses of what they name.
    fn srv(&self, name: &Name, service: &Name, entry: &Entry, wanted: &dyn Fn(&Port) -> bool) -> Answer {
        let (mut answers, mut additionals) = (Vec::new(), Vec::new());
        for port in entry.ports.iter().filter(|port| wanted(port)) {
            let (target, addresses) = match &port.host {
                None => (Ok(service.clone()), entry.addresses()),
                Some(host) => (
                    service.prepend_label(host.as_bytes()),
                    entry.hosts.get(host).cloned().unwrap_or_default(),
                ),
            };
            let Ok(target) = target else { continue };
            for address in addresses {
                let record = self.record(&target, data(address));
                if !additionals.contains(&record) {
                    additionals.push(record);
                }
            }
            answers.push(self.record(name, RData::SRV(SRV::new(0, 100, port.number, target))));
        }
        Answer::Records { answers, additionals }
    }

    fn pod(&self, name: &Name, dashed: &str, kind: RecordType) -> Answer {
        let v4 = dashed.replace('-', ".").parse::<std::net::Ipv4Addr>().map(IpAddr::V4);
        let address = v4.or_else(|_| dashed.replace('-', ":").parse::<std::net::Ipv6Addr>().map(IpAddr::V6));
        match address {
            Ok(address) => self.addresses(name, &[address], kind),
            Err(_) => Answer::NoName,
        }
    }

    fn addresses(&self, name: &Name, addresses: &[IpAddr], kind: RecordType) -> Answer {
        let wanted = |address: &&IpAddr| match kind {
            RecordType::A => address.is_ipv4(),
            RecordType::AAAA => address.is_ipv6(),
            RecordType::ANY => true,
            _ => false,
        };
        answers(addresses.iter().filter(wanted).map(|address| self.record(name, data(*address))).collect())
    }

    fn lookup_reverse(&self, name: &Name, kind: RecordType) -> Answer {
        let address = name.parse_arpa_name().ok().filter(|net| net.prefix_len() == net.max_prefix_len());
        let Some(names) = address.and_then(|net| self.reverse.get(&net.addr())) else {
            return Answer::Foreign;
        };
        if kind != RecordType::PTR {
            return nothing();
        }
        let full =
            names.iter().filter_map(|name| Name::from_ascii(name).ok()?.append_domain(&self.domain).ok());
        answers(full.map(|target| self.record(name, RData::PTR(PTR(target)))).collect())
    }

    /// The record that goes with denials, for how long they hold.
    #[must_use]
    pub fn soa(&self) -> Record {
        let below = |label: &str| self.domain.prepend_label(label).unwrap_or_else(|_| self.domain.clone());
        let server = below("dns").prepend_label("ns").unwrap_or_else(|_| self.domain.clone());
        let ttl = self.ttl.min(30);
        let soa = SOA::new(server, below("hostmaster"), self.serial, 7200, 1800, 86_400, ttl);
        Record::from_rdata(self.domain.clone(), ttl, RData::SOA(soa))
    }

    fn record(&self, name: &Name, data: RData) -> Record {
        Record::from_rdata(name.clone(), self.ttl, data)
    }
}

fn answers(answers: Vec<Record>) -> Answer {
    Answer::Records { answers, additionals: vec![] }
}

fn nothing() -> Answer {
    answers(vec![])
}

fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// Addresses that lead back to names, which are given without the domain.
fn pointers(entry: &Entry, namespace: &str, service: &str) -> Vec<(IpAddr, String)> {
    match &entry.kind {
        Kind::Addresses(addresses) => {
            addresses.iter().map(|address| (*address, format!("{service}.{namespace}.svc"))).collect()
        }
        Kind::Headless => {
            let hosts = entry.hosts.iter();
            hosts
                .flat_map(|(host, addresses)| {
                    let name = format!("{host}.{service}.{namespace}.svc");
                    addresses.iter().map(move |address| (*address, name.clone()))
                })
                .collect()
        }
        Kind::External(_) => vec![],
    }
}

impl Sink for Records {
    fn set_service(&mut self, service: Service) {
        Self::set_service(self, service);
    }

    fn remove_service(&mut self, name: &str) {
        Self::remove_service(self, name);
    }

    fn retain_services(&mut self, names: &BTreeSet<String>) {
        let gone: Vec<_> = self.services.keys().filter(|name| !names.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.remove_service(name));
    }

    fn set_slice(&mut self, slice: EndpointSlice) {
        Self::set_slice(self, slice);
    }

    fn remove_slice(&mut self, name: &str) {
        Self::remove_slice(self, name);
    }

    fn retain_slices(&mut self, names: &BTreeSet<String>) {
        let gone: Vec<_> = self.owners.keys().filter(|name| !names.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.remove_slice(name));
    }
}

#[cfg(test)]
mod tests;
