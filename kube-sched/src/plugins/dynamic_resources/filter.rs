//! Judging nodes: whether their devices meet the pod's claims.

use std::sync::Arc;

use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};

use super::allocate::{Allocator, Failure};
use super::{DynamicResources, claims};
use crate::framework::{Cycle, Filter, NodeFilter, Status};
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::snapshot::{NodeView, Snapshot, allocation, selects};

/// Why a node is refused that lacks devices.
const TOO_FEW: &str = "cannot allocate all claims";
/// Why a node is refused whose devices were allocated for others.
pub(super) const UNAVAILABLE: &str = "resourceclaim not available on the node";

/// A pod's claims as they are judged on each node.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    pub(super) all: Vec<&'a Arc<ResourceClaim>>,
    /// For those that have no devices yet, if there are any.
    allocator: Option<Allocator<'a>>,
}

impl<'a> Claims<'a> {
    /// `None` if the pod has no claims.
    pub(super) fn of(
        plugin: &DynamicResources,
        snapshot: &'a Snapshot,
        pod: &PodInfo,
    ) -> Result<Option<Self>, Status> {
        let all = claims::of(pod, snapshot.devices()).map_err(Status::unresolvable)?;
        if all.is_empty() {
            return Ok(None);
        }
        let without = || all.iter().filter(|claim| allocation(claim).is_none()).map(|claim| &***claim);
        let (devices, features) = (snapshot.devices(), plugin.features);
        let new = || Allocator::new(devices, without(), &plugin.selectors, features, plugin.budget);
        let allocator = without().next().map(|_| new()).transpose().map_err(refusal)?;
        Ok(Some(Self { all, allocator }))
    }

    /// Whether the node has devices for the claims that have none yet, and can reach those of the others.
    fn fit(&mut self, node: &NodeInfo) -> Result<(), Status> {
        match self.allocator.as_mut().map_or(Ok(true), |allocator| allocator.fits(node)).map_err(refusal)? {
            true => self.reach(node),
            false => Err(Status::unresolvable(TOO_FEW)),
        }
    }

    /// The allocations of the claims that have none yet, in their order.
    pub(super) fn allocate(&mut self, node: &NodeInfo) -> Result<Vec<AllocationResult>, Status> {
        let allocator = self.allocator.as_mut();
        let found = allocator.map_or(Ok(Some(Vec::new())), |allocator| allocator.allocate(node));
        let allocations = found.map_err(refusal)?.ok_or_else(|| Status::unresolvable(TOO_FEW))?;
        self.reach(node).map(|()| allocations)
    }

    fn reach(&self, node: &NodeInfo) -> Result<(), Status> {
        match self.all.iter().any(|claim| is_elsewhere(claim, node)) {
            true => Err(Status::unresolvable(UNAVAILABLE)),
            false => Ok(()),
        }
    }
}

/// Whether the claim has devices that cannot be reached from the node.
pub(super) fn is_elsewhere(claim: &ResourceClaim, node: &NodeInfo) -> bool {
    let selector = allocation(claim).and_then(|allocation| allocation.node_selector.as_ref());
    selector.is_some_and(|selector| !selects(selector, node))
}

fn refusal(failure: Failure) -> Status {
    match failure {
        Failure::Fatal(reason) => Status::error(reason),
        Failure::OnNode(reason) => Status::unresolvable(reason),
        Failure::Exhausted => Status::unresolvable("timed out trying to allocate devices"),
    }
}

/// Refuses every node for the same reason.
struct Refused(Status);

impl NodeFilter for Refused {
    fn check(&mut self, _: NodeView<'_>) -> Result<(), Status> {
        Err(self.0.clone())
    }
}

impl Filter for DynamicResources {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        if !claims::any(cycle.pod) {
            return None;
        }
        match Claims::of(self, cycle.snapshot, cycle.pod) {
            Ok(claims) => Some(Box::new(claims?)),
            Err(status) => Some(Box::new(Refused(status))),
        }
    }
}

impl NodeFilter for Claims<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        let Some(info) = node.info() else { return Ok(()) };
        self.fit(info)
    }
}
