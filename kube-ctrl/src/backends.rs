//! Which pods stand behind a service, and at which ports.

use crate::pods;
use crate::runner::{Change, Informer, Key};
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The label of slices and endpoints of a service without an address of its own.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// The selector of a service whose backends are ours to find.
pub(crate) fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|selector| !external && !selector.is_empty())
}

fn selects(service: &Service, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    selector(service).is_some_and(|selector| {
        selector.iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
    })
}

/// Whether a service has no address of its own.
pub(crate) fn is_headless(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    matches!(address, None | Some("" | "None"))
}

/// Whether not even readiness is asked for.
pub(crate) fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

/// The pods a service selects that run or will run, in order of their names.
pub(crate) fn pods_of(informer: &Informer<Pod>, service: &Service) -> Vec<std::sync::Arc<Pod>> {
    let mut found = informer.in_namespace(service.metadata.namespace.as_deref().unwrap_or_default());
    found.retain(|pod| selects(service, pod) && !pods::is_terminal(pod) && !addresses(pod).is_empty());
    found
}

/// The addresses of a pod.
pub(crate) fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let parsed: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
    if parsed.is_empty() { status.pod_ip.iter().filter_map(|ip| ip.parse().ok()).collect() } else { parsed }
}

/// The hostname under which a headless service publishes a pod.
pub(crate) fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let ours =
        spec.subdomain == service.metadata.name && pod.metadata.namespace == service.metadata.namespace;
    spec.hostname.clone().filter(|hostname| ours && !hostname.is_empty())
}

/// The ports of a service.
pub(crate) fn ports(service: &Service) -> &[ServicePort] {
    service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default()
}

/// The number a service port stands for on a pod: itself, a number, or the name of a container's port.
pub(crate) fn port_on(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) if name.is_empty() => Some(port.port),
        Some(IntOrString::String(name)) => named_port(pod, name, port.protocol.as_deref().unwrap_or("TCP")),
    }
}

fn named_port(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let fits = |port: &&k8s_openapi::api::core::v1::ContainerPort| {
        port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol
    };
    ports.into_iter().find(fits).map(|port| port.container_port)
}

/// The services a pod's change concerns; none if nothing has changed that services look at.
pub(crate) fn services_of(services: &Informer<Service>, change: &Change<Pod>) -> Vec<Key> {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && looks_of(old) == looks_of(new)
    {
        return Vec::new();
    }
    let Some(namespace) = change.latest().and_then(|pod| pod.metadata.namespace.as_deref()) else {
        return Vec::new();
    };
    let all = services.in_namespace(namespace);
    let concerned = all.iter().filter(|service| change.versions().any(|pod| selects(service, pod)));
    concerned.map(|service| Key::of(service.as_ref())).collect()
}

/// Everything about a pod that its endpoints show.
fn looks_of(pod: &Pod) -> impl PartialEq + '_ {
    let spec = pod.spec.as_ref();
    let hostname = spec.and_then(|spec| spec.hostname.as_deref());
    let subdomain = spec.and_then(|spec| spec.subdomain.as_deref());
    let state = (pods::is_ready(pod), pods::is_terminating(pod), pods::is_terminal(pod));
    (&pod.metadata.uid, &pod.metadata.labels, addresses(pod), pods::node(pod), hostname, subdomain, state)
}
