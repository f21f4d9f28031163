//! The fewest writes that make a service's slices right.

use super::View;
use crate::runner::{Action, Announce, Delete, Plan, Target, controller_reference, reference};
use crate::{backends, pods};
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::api::ObjectMeta;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
const RESERVED: [&str; 3] = [SERVICE_NAME, MANAGED_BY, backends::HEADLESS];
/// The most endpoints a slice may have.
pub(super) const CAPACITY: usize = 100;

/// What tells endpoints apart: the pod, or without one the addresses.
type Identity = (Option<String>, Vec<String>);

/// All endpoints of one address type that share their ports.
#[derive(Debug)]
struct Group {
    ports: Vec<EndpointPort>,
    endpoints: BTreeMap<Identity, Endpoint>,
}

/// The writes for all address types of the service.
pub(super) fn plan(view: &View) -> Plan {
    let types = address_types(&view.service);
    let (known, foreign): (Vec<_>, Vec<_>) =
        view.slices.iter().partition(|slice| types.contains(&slice.address_type.as_str()));
    let mut actions: Vec<Action> = foreign.iter().copied().map(delete).collect();
    for address_type in types {
        let slices =
            known.iter().filter(|slice| slice.address_type == address_type).map(|slice| (*slice).clone());
        actions.extend(for_type(view, address_type, slices.collect()));
    }
    Plan::of(if actions.is_empty() { actions } else { vec![Action::Together(actions)] })
}

fn address_types(service: &Service) -> Vec<&'static str> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    let known = |family: &String| match family.as_str() {
        "IPv4" => Some("IPv4"),
        "IPv6" => Some("IPv6"),
        _ => None,
    };
    let types: Vec<_> = families.into_iter().flatten().filter_map(known).collect();
    if types.is_empty() { vec!["IPv4"] } else { types }
}

fn for_type(view: &View, address_type: &'static str, slices: Vec<Arc<EndpointSlice>>) -> Vec<Action> {
    let groups = groups(view, address_type);
    let mut actions = Vec::new();
    let mut rest = slices;
    let mut kept = 0;
    for group in groups {
        let (mine, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|slice| has_ports(slice, &group.ports));
        rest = others;
        kept += fill(view, address_type, group, &mine, &mut actions);
    }
    if kept > 0 {
        actions.extend(rest.iter().map(delete));
        return actions;
    }
    // A service without endpoints keeps one empty slice, so that its consumers know that there are none.
    let mut rest = rest.into_iter();
    match rest.next() {
        Some(first) => actions.extend(update(view, &first, Vec::new(), Vec::new())),
        None => actions.push(create(view, address_type, Vec::new(), Vec::new())),
    }
    actions.extend(rest.map(|slice| delete(&slice)));
    actions
}

fn has_ports(slice: &EndpointSlice, ports: &[EndpointPort]) -> bool {
    slice.ports.as_deref().unwrap_or_default() == ports
}

/// Distributes a group's endpoints over its slices, moving none that is in place; returns how many slices there are.
fn fill(
    view: &View,
    address_type: &'static str,
    mut group: Group,
    slices: &[Arc<EndpointSlice>],
    actions: &mut Vec<Action>,
) -> usize {
    let mut filled: Vec<(Arc<EndpointSlice>, Vec<Endpoint>)> = Vec::new();
    for slice in slices {
        let stay = slice.endpoints.iter().filter_map(|endpoint| group.endpoints.remove(&identity(endpoint)));
        filled.push((slice.clone(), stay.collect()));
    }
    let mut fresh: Vec<Endpoint> = group.endpoints.into_values().collect();
    // Slices that must be written anyway take the new endpoints first.
    filled.sort_by_key(|(slice, endpoints)| slice.endpoints == *endpoints);
    for (slice, endpoints) in &mut filled {
        let written = slice.endpoints != *endpoints;
        let room = CAPACITY.saturating_sub(endpoints.len());
        // One that is right already is only touched if it can take all that is left.
        if !fresh.is_empty() && (written || fresh.len() <= room) {
            let taken = fresh.len().min(room);
            endpoints.extend(fresh.drain(..taken));
        }
    }
    let mut count = 0;
    for (slice, endpoints) in filled {
        if endpoints.is_empty() {
            actions.push(delete(&slice));
        } else {
            count += 1;
            actions.extend(update(view, &slice, endpoints, group.ports.clone()));
        }
    }
    for endpoints in fresh.chunks(CAPACITY) {
        count += 1;
        actions.push(create(view, address_type, endpoints.to_vec(), group.ports.clone()));
    }
    count
}

fn groups(view: &View, address_type: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for pod in &view.pods {
        let Some(endpoint) = endpoint(view, pod, address_type) else { continue };
        let ports = ports(&view.service, pod);
        let at = groups.iter().position(|group| group.ports == ports).unwrap_or_else(|| {
            groups.push(Group { ports, endpoints: BTreeMap::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(at) {
            group.endpoints.insert(identity(&endpoint), endpoint);
        }
    }
    groups
}

fn identity(endpoint: &Endpoint) -> Identity {
    match endpoint.target_ref.as_ref().and_then(|target| target.uid.clone()) {
        Some(uid) => (Some(uid), Vec::new()),
        None => (None, endpoint.addresses.clone()),
    }
}

fn endpoint(view: &View, pod: &Pod, address_type: &str) -> Option<Endpoint> {
    let fits = |ip: &IpAddr| ip.is_ipv4() == (address_type == "IPv4");
    let addresses: Vec<String> =
        backends::addresses(pod).into_iter().filter(fits).map(|ip| ip.to_string()).collect();
    let (serving, terminating) = (pods::is_ready(pod), pods::is_terminating(pod));
    let ready = backends::publishes_not_ready(&view.service) || (serving && !terminating);
    let node = Some(pods::node(pod).to_owned()).filter(|node| !node.is_empty());
    (!addresses.is_empty()).then(|| Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        target_ref: Some(pod_reference(pod)),
        zone: node.as_ref().and_then(|node| view.zones.get(node).cloned()),
        node_name: node,
        hostname: backends::hostname(&view.service, pod),
        ..Endpoint::default()
    })
}

/// How endpoints name their pod.
pub(super) fn pod_reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let found = backends::ports(service).iter().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(backends::port_on(pod, port)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    found.collect()
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let own = service.metadata.labels.clone().unwrap_or_default();
    let mut labels: BTreeMap<String, String> =
        own.into_iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())).collect();
    if backends::is_headless(service) {
        labels.insert(backends::HEADLESS.into(), String::new());
    }
    labels.insert(SERVICE_NAME.into(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels
}

fn create(view: &View, address_type: &str, endpoints: Vec<Endpoint>, ports: Vec<EndpointPort>) -> Action {
    let service = view.service.as_ref();
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-", service.metadata.name.as_deref().unwrap_or_default())),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels(service)),
        owner_references: Some(vec![controller_reference(service)]),
        ..ObjectMeta::default()
    };
    let slice = EndpointSlice { metadata, address_type: address_type.into(), endpoints, ports: Some(ports) };
    Action::Create(slice.into(), Some(Box::new(failures(service))))
}

/// Creating and changing slices is daily business; only failures are told.
fn failures(service: &Service) -> Announce {
    let failed = ("FailedToUpdateEndpointSlices", "Error updating Endpoint Slices for Service: ".into());
    Announce { about: reference(service), done: None, failed }
}

/// The write that makes a slice right, if it is not.
fn update(
    view: &View,
    slice: &EndpointSlice,
    endpoints: Vec<Endpoint>,
    ports: Vec<EndpointPort>,
) -> Option<Action> {
    let labels = Some(labels(&view.service));
    let right = slice.endpoints == endpoints && has_ports(slice, &ports) && slice.metadata.labels == labels;
    let mut updated = EndpointSlice { endpoints, ports: Some(ports), ..slice.clone() };
    updated.metadata.labels = labels;
    (!right).then(|| Action::Update(updated.into()))
}

fn delete(slice: &Arc<EndpointSlice>) -> Action {
    Action::from(Delete::of(Target::of(slice.as_ref())))
}
