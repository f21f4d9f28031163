//! The table of controllers: one row each.

use crate::manager::Starter;
use crate::runner::Reconcile;
use crate::{
    Result, deployment, endpoints, endpointslice, garbagecollector, namespace, nodeipam, nodelifecycle,
    podgc, replicaset, resourceclaim, serviceaccount, tainteviction,
};

/// Wires every configured controller.
pub(crate) fn start(starter: &mut Starter) -> Result<()> {
    let informers = starter.informers.clone();
    let config = starter.config.clone();
    add(starter, || namespace::NamespaceController::new(&informers));
    add(starter, || serviceaccount::ServiceAccountController::new(&informers));
    add(starter, || serviceaccount::RootCaPublisher::new(&informers, &config.root_ca));
    add(starter, || replicaset::ReplicaSetController::new(&informers));
    add(starter, || deployment::DeploymentController::new(&informers));
    add(starter, || endpointslice::EndpointSliceController::new(&informers));
    add(starter, || endpoints::EndpointsController::new(&informers));
    let pool = nodeipam::Pool::parse(&config.cluster_cidr, config.node_cidr_mask)?;
    add(starter, || nodeipam::NodeIpamController::new(&informers, pool));
    add(starter, || nodelifecycle::NodeLifecycleController::new(&informers, &config));
    add(starter, || tainteviction::TaintEvictionController::new(&informers, &config));
    add(starter, || podgc::PodGcController::new(&informers, &config));
    add(starter, || resourceclaim::PodClaimsController::new(&informers));
    add(starter, || resourceclaim::ClaimReleaseController::new(&informers));
    let collector = garbagecollector::GarbageCollector::new(&informers);
    if config.runs(garbagecollector::GarbageCollector::NAME) {
        let watch = collector.clone().watch_resources(starter.tasks.clone(), starter.shutdown.clone());
        starter.tasks.spawn(watch);
    }
    add(starter, || collector);
    Ok(())
}

fn add<R: Reconcile + Named>(starter: &mut Starter, make: impl FnOnce() -> R) {
    if starter.config.runs(R::NAME) {
        starter.add(make());
    }
}

/// The name a controller is switched on and off by, which is not always the one its events carry.
pub(crate) trait Named {
    /// One of [`crate::config::CONTROLLERS`].
    const NAME: &'static str;
}

macro_rules! names {
    ($($controller:path => $name:literal),* $(,)?) => {
        $(impl Named for $controller { const NAME: &'static str = $name; })*
    };
}

names! {
    namespace::NamespaceController => "namespace-controller",
    serviceaccount::ServiceAccountController => "serviceaccount-controller",
    serviceaccount::RootCaPublisher => "root-ca-certificate-publisher-controller",
    replicaset::ReplicaSetController => "replicaset-controller",
    deployment::DeploymentController => "deployment-controller",
    endpointslice::EndpointSliceController => "endpointslice-controller",
    endpoints::EndpointsController => "endpoints-controller",
    nodelifecycle::NodeLifecycleController => "node-lifecycle-controller",
    tainteviction::TaintEvictionController => "taint-eviction-controller",
    podgc::PodGcController => "pod-garbage-collector-controller",
    resourceclaim::PodClaimsController => "resourceclaim-controller",
    resourceclaim::ClaimReleaseController => "resourceclaim-controller",
    garbagecollector::GarbageCollector => "garbage-collector-controller",
    nodeipam::NodeIpamController => "node-ipam-controller",
}
