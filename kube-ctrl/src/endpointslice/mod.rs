//! Keeps the EndpointSlices of each service with a selector equal to the pods it selects.

mod plan;
#[cfg(test)]
mod tests;

use crate::runner::{Informer, Informers, Key, Plan, Reconcile, Wiring};
use crate::{Result, backends};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::collections::BTreeMap;
use std::sync::Arc;

const BY_SERVICE: &str = "service";

/// The controller `endpointslice-controller`.
#[derive(Debug)]
pub struct EndpointSliceController {
    services: Informer<Service>,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    slices: Informer<EndpointSlice>,
}

/// A service, its pods and the slices it has.
#[derive(Debug)]
pub struct View {
    service: Arc<Service>,
    pods: Vec<Arc<Pod>>,
    slices: Vec<Arc<EndpointSlice>>,
    /// The zones of the pods' nodes, by node name.
    zones: BTreeMap<String, String>,
}

impl EndpointSliceController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        let slices: Informer<EndpointSlice> = informers.get();
        slices.index(BY_SERVICE, |slice| service_of(slice).map(|key| key.to_string()).into_iter().collect());
        Self { services: informers.get(), pods: informers.get(), nodes: informers.get(), slices }
    }

    fn zones(&self, pods: &[Arc<Pod>]) -> BTreeMap<String, String> {
        let nodes = pods.iter().filter_map(|pod| self.nodes.get(&Key::cluster(crate::pods::node(pod))));
        let zone = |node: Arc<Node>| {
            let zone = node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone")?.clone();
            Some((node.metadata.name.clone()?, zone))
        };
        nodes.filter_map(zone).collect()
    }
}

/// The service a slice of ours belongs to.
fn service_of(slice: &EndpointSlice) -> Option<Key> {
    let labels = slice.metadata.labels.as_ref()?;
    labels.get(plan::MANAGED_BY).filter(|manager| *manager == plan::MANAGER)?;
    Some(Key::new(slice.metadata.namespace.clone()?, labels.get(plan::SERVICE_NAME)?))
}

impl Reconcile for EndpointSliceController {
    type View = View;

    fn name(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Service>();
        let services = self.services.clone();
        wiring.watch::<Pod>(move |change| backends::services_of(&services, change));
        wiring.watch::<EndpointSlice>(|change| {
            change.versions().filter_map(|slice| service_of(slice)).collect()
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let ours = |service: &Arc<Service>| {
            backends::selector(service).is_some() && service.metadata.deletion_timestamp.is_none()
        };
        let Some(service) = self.services.get(key).filter(ours) else { return Ok(None) };
        let pods = backends::pods_of(&self.pods, &service);
        let mut slices = self.slices.by_index(BY_SERVICE, &key.to_string());
        slices.retain(|slice| slice.metadata.deletion_timestamp.is_none());
        let zones = self.zones(&pods);
        Ok(Some(View { service, pods, slices, zones }))
    }

    fn plan(&self, view: &View, _: Timestamp) -> Plan {
        plan::plan(view)
    }
}
