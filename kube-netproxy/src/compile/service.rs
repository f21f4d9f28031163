//! One service into its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::endpoints::Endpoints;
use crate::{Config, Destination, Family, Frontend, FrontendKey, Masquerade, Protocol, ServiceRules, Target};

/// Seconds a client keeps its endpoint when the service does not say (three hours, the API's default).
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

/// Compiles one service with the slices that belong to it; `None` when this proxy has nothing to do for it.
#[must_use]
pub fn compile_service(
    service: &Service,
    slices: &[&EndpointSlice],
    config: &Config,
) -> Option<ServiceRules> {
    let spec = service.spec.as_ref()?;
    let addresses = cluster_ips(spec);
    if addresses.is_empty() || spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let mut rules = ServiceRules::default();
    let mut local = BTreeSet::new();
    for port in spec.ports.iter().flatten() {
        let Some(protocol) = Protocol::parse(port.protocol.as_deref()) else {
            continue;
        };
        for (family, cluster_ip) in &addresses {
            let endpoints = Endpoints::of(port, *family, slices, &config.node_name);
            local.extend(endpoints.local_addresses());
            let port = Port::new(service, spec, port, protocol, *family, config);
            port.compile(*cluster_ip, &endpoints, &mut rules.frontends);
        }
    }
    rules.local_endpoints = local.into_iter().collect();
    Some(rules)
}

/// The cluster addresses, at most one per family; none for headless services.
fn cluster_ips(spec: &ServiceSpec) -> BTreeMap<Family, IpAddr> {
    let list = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    let parsed = list.filter_map(|address| address.parse::<IpAddr>().ok());
    let mut addresses = BTreeMap::new();
    for address in parsed {
        addresses.entry(Family::of(address)).or_insert(address);
    }
    addresses
}

/// One port of a service in one family.
struct Port<'a> {
    spec: &'a ServiceSpec,
    port: &'a ServicePort,
    protocol: Protocol,
    family: Family,
    name: Arc<str>,
    affinity: Option<u32>,
    masquerade: Masquerade,
    ingress: Vec<IpAddr>,
}

impl<'a> Port<'a> {
    fn new(
        service: &'a Service,
        spec: &'a ServiceSpec,
        port: &'a ServicePort,
        protocol: Protocol,
        family: Family,
        config: &Config,
    ) -> Self {
        let metadata = &service.metadata;
        let name = format!(
            "{}/{}:{}",
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
            port.name.as_deref().unwrap_or_default()
        );
        Self {
            spec,
            port,
            protocol,
            family,
            name: name.into(),
            affinity: affinity(spec),
            masquerade: if config.masquerade_all { Masquerade::Always } else { Masquerade::Outside },
            ingress: ingress_ips(service),
        }
    }

    fn compile(
        &self,
        cluster_ip: IpAddr,
        endpoints: &Endpoints,
        out: &mut BTreeMap<FrontendKey, Arc<Frontend>>,
    ) {
        let internal_local = self.spec.internal_traffic_policy.as_deref() == Some("Local");
        let internal = if internal_local { endpoints.local() } else { endpoints.cluster() };
        let inside = self.frontend(internal, None, self.masquerade);
        self.add(Destination::Address(cluster_ip), self.port.port, inside, out);

        let outside = self.outside(endpoints);
        for address in self.external_addresses() {
            self.add(Destination::Address(address), self.port.port, outside.clone(), out);
        }
        if let Some(node_port) = self.port.node_port {
            self.add(Destination::NodePort(self.family), node_port, outside, out);
        }
    }

    fn outside(&self, endpoints: &Endpoints) -> Arc<Frontend> {
        if self.spec.external_traffic_policy.as_deref() == Some("Local") {
            self.frontend(endpoints.cluster(), Some(endpoints.local()), self.masquerade)
        } else {
            self.frontend(endpoints.cluster(), None, Masquerade::Always)
        }
    }

    fn frontend(&self, target: Target, local: Option<Target>, masquerade: Masquerade) -> Arc<Frontend> {
        Arc::new(Frontend { service: self.name.clone(), target, local, affinity: self.affinity, masquerade })
    }

    fn external_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let external = self.spec.external_ips.iter().flatten().filter_map(|address| address.parse().ok());
        external.chain(self.ingress.iter().copied()).filter(|address| Family::of(*address) == self.family)
    }

    fn add(
        &self,
        destination: Destination,
        port: i32,
        frontend: Arc<Frontend>,
        out: &mut BTreeMap<FrontendKey, Arc<Frontend>>,
    ) {
        let Ok(port @ 1..) = u16::try_from(port) else {
            return;
        };
        let key = FrontendKey { destination, protocol: self.protocol, port };
        out.entry(key).or_insert(frontend);
    }
}

fn affinity(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let configured =
        spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref()?.timeout_seconds);
    Some(configured.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_AFFINITY_SECONDS))
}

/// Addresses of the load balancer that deliver packets with the address still on them.
fn ingress_ips(service: &Service) -> Vec<IpAddr> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    ingress
        .filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"))
        .filter_map(|ingress| ingress.ip.as_ref()?.parse().ok())
        .collect()
}
