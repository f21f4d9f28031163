//! The Endpoints object a service should have.

use super::View;
use crate::runner::{Action, Delete, Plan, Target};
use crate::{backends, pods};
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use kube::api::ObjectMeta;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// The most addresses one object may have.
const CAPACITY: usize = 1000;

pub(super) fn plan(view: &View) -> Plan {
    let (service, pods, known) = match view {
        View::Left(endpoints) => {
            return Plan::of(vec![Action::from(Delete::of(Target::of(endpoints.as_ref())))]);
        }
        View::Service(service, pods, known) => (service, pods, known),
    };
    let mut subsets = subsets(service, pods);
    let truncated = truncate(&mut subsets);
    let mut endpoints = match known {
        Some(known) => known.as_ref().clone(),
        None => Endpoints { metadata: named(service), subsets: None },
    };
    endpoints.metadata.labels = Some(labels(service));
    let mut annotations = endpoints.metadata.annotations.take().unwrap_or_default();
    annotations.remove(OVER_CAPACITY);
    if truncated {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    }
    endpoints.metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    endpoints.subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
    match known {
        None => Plan::of(vec![Action::Create(endpoints.into(), None)]),
        Some(known) if is_same(known, &endpoints) => Plan::nothing(),
        Some(_) => Plan::of(vec![Action::Update(endpoints.into())]),
    }
}

fn is_same(known: &Endpoints, wanted: &Endpoints) -> bool {
    let subsets = |endpoints: &Endpoints| endpoints.subsets.clone().unwrap_or_default();
    let annotations = |endpoints: &Endpoints| endpoints.metadata.annotations.clone().unwrap_or_default();
    subsets(known) == subsets(wanted)
        && known.metadata.labels == wanted.metadata.labels
        && annotations(known) == annotations(wanted)
}

fn named(service: &Service) -> ObjectMeta {
    ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(backends::HEADLESS);
    if backends::is_headless(service) {
        labels.insert(backends::HEADLESS.into(), String::new());
    }
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels
}

/// One subset for each set of ports, in a stable order.
fn subsets(service: &Service, found: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let mut subsets: BTreeMap<String, EndpointSubset> = BTreeMap::new();
    let publish = backends::publishes_not_ready(service);
    for pod in found.iter().filter(|pod| publish || !pods::is_terminating(pod)) {
        let ports = ports(service, pod);
        let without_ports = backends::ports(service).is_empty() && backends::is_headless(service);
        let Some(address) = address(service, pod).filter(|_| without_ports || !ports.is_empty()) else {
            continue;
        };
        let subset = subsets.entry(format!("{ports:?}")).or_default();
        subset.ports = Some(ports).filter(|ports| !ports.is_empty());
        let ready = publish || pods::is_ready(pod);
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address);
    }
    let mut subsets: Vec<EndpointSubset> = subsets.into_values().collect();
    for subset in &mut subsets {
        [&mut subset.addresses, &mut subset.not_ready_addresses]
            .into_iter()
            .flatten()
            .for_each(|list| sort(list));
    }
    subsets
}

fn sort(addresses: &mut [EndpointAddress]) {
    addresses.sort_by_key(|address| {
        (address.ip.parse::<IpAddr>().ok(), address.target_ref.as_ref().and_then(|target| target.uid.clone()))
    });
}

fn address(service: &Service, pod: &Pod) -> Option<EndpointAddress> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    let six = families.and_then(|families| families.first()).is_some_and(|family| family == "IPv6");
    let ip = backends::addresses(pod).into_iter().find(|ip| ip.is_ipv6() == six)?;
    Some(EndpointAddress {
        ip: ip.to_string(),
        hostname: backends::hostname(service, pod),
        node_name: Some(pods::node(pod).to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
    })
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let found = backends::ports(service).iter().filter_map(|port| {
        Some(EndpointPort {
            name: port.name.clone().filter(|name| !name.is_empty()),
            port: backends::port_on(pod, port)?,
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    found.collect()
}

/// Cuts the addresses down to the capacity, those not ready first; whether anything was cut.
fn truncate(subsets: &mut [EndpointSubset]) -> bool {
    let mut room = CAPACITY;
    let mut cut = false;
    for ready in [true, false] {
        for subset in subsets.iter_mut() {
            let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
            if let Some(list) = list {
                cut |= list.len() > room;
                list.truncate(room);
                room -= list.len();
            }
        }
    }
    cut
}
