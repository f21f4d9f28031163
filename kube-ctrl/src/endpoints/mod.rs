//! Keeps the Endpoints object of each service with a selector equal to the pods it selects.

mod plan;
#[cfg(test)]
mod tests;

use crate::runner::{Informer, Informers, Key, Plan, Reconcile, Wiring};
use crate::{Result, backends};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use std::sync::Arc;

/// The controller `endpoint-controller`.
#[derive(Debug)]
pub struct EndpointsController {
    services: Informer<Service>,
    pods: Informer<Pod>,
    endpoints: Informer<Endpoints>,
}

/// A service, or the endpoints left of one.
#[derive(Debug)]
pub enum View {
    /// The service is gone.
    Left(Arc<Endpoints>),
    /// The service, its pods and its endpoints.
    Service(Arc<Service>, Vec<Arc<Pod>>, Option<Arc<Endpoints>>),
}

impl EndpointsController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        Self { services: informers.get(), pods: informers.get(), endpoints: informers.get() }
    }
}

impl Reconcile for EndpointsController {
    type View = View;

    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Service>();
        let services = self.services.clone();
        wiring.watch::<Pod>(move |change| backends::services_of(&services, change));
        wiring.watch::<Endpoints>(|change| {
            let lost = change.old.as_ref().filter(|_| change.new.is_none());
            lost.map(|endpoints| Key::of(endpoints.as_ref())).into_iter().collect()
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let endpoints = self.endpoints.get(key);
        let Some(service) = self.services.get(key) else { return Ok(endpoints.map(View::Left)) };
        if backends::selector(&service).is_none() {
            return Ok(None);
        }
        let pods = backends::pods_of(&self.pods, &service);
        Ok(Some(View::Service(service, pods, endpoints)))
    }

    fn plan(&self, view: &View, _: Timestamp) -> Plan {
        plan::plan(view)
    }
}
