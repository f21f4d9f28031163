//! Finding devices for claims: which devices of a node's pools meet all requests and constraints at once.
//!
//! The search takes one request after the other and tries each suitable device, backing out where that leads nowhere; the first solution is
//! taken, as upstream does. Devices of one request are tried in the order of their pools only, since it does not matter which of
//! them is called the first: a request for half of sixteen devices has 12,870 choices and not 518,918,400.

mod constraint;
mod counters;
mod needs;
mod outcome;
mod search;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};

use super::DeviceFeatures;
use super::selector::Selectors;
use crate::node::NodeInfo;
use crate::snapshot::Devices;
use needs::ClaimNeeds;
use search::Search;

/// Devices that a claim can have at most.
pub(super) const MAX_RESULTS: usize = 32;

/// Why devices are not even looked for to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Something is wrong with a claim or class.
    Fatal(String),
    /// This node is out of the question.
    OnNode(String),
    /// The search takes too long.
    Exhausted,
}

/// Claims that are to be given devices, prepared for being tried on many nodes.
#[derive(Debug)]
pub(super) struct Allocator<'a> {
    devices: &'a Devices,
    claims: Vec<ClaimNeeds<'a>>,
    features: DeviceFeatures,
    /// What the search may still cost on all nodes together, in the unit of selectors.
    budget: u64,
}

impl<'a> Allocator<'a> {
    pub(super) fn new(
        devices: &'a Devices,
        claims: impl IntoIterator<Item = &'a ResourceClaim>,
        selectors: &Selectors,
        features: DeviceFeatures,
        budget: u64,
    ) -> Result<Self, Failure> {
        let mut alternatives = 0;
        let claims = claims
            .into_iter()
            .map(|claim| ClaimNeeds::new(claim, devices, selectors, &mut alternatives))
            .collect::<Result<_, _>>()
            .map_err(Failure::Fatal)?;
        Ok(Self { devices, claims, features, budget })
    }

    /// Whether there are devices for all claims. Cheaper than saying which.
    pub(super) fn fits(&mut self, node: &NodeInfo) -> Result<bool, Failure> {
        self.search(node).map(|found| found.is_some())
    }

    /// One allocation for each claim, if there are devices for all of them.
    pub(super) fn allocate(&mut self, node: &NodeInfo) -> Result<Option<Vec<AllocationResult>>, Failure> {
        self.search(node)?.map(|search| search.results()).transpose()
    }

    /// A search that has found devices.
    fn search(&mut self, node: &NodeInfo) -> Result<Option<Search<'_, 'a>>, Failure> {
        let mut search = Search::new(self.devices, &self.claims, self.features, node, &mut self.budget);
        if search.run()? {
            return Ok(Some(search));
        }
        search.fault_of_pools().map_or(Ok(None), |reason| Err(Failure::OnNode(reason)))
    }
}
