//! Devices and claims for them, as drivers and users publish them, and which are taken.

mod facts;
mod plan;
mod pool;
mod state;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::resource::v1::{AllocationResult, DeviceRequestAllocationResult, ResourceClaim};

use super::Snapshot;

pub use facts::{DeviceFacts, Fact, Facts};
pub use plan::{DevicePlan, PlannedClaim};
pub(crate) use pool::selects;
pub use pool::{Counters, Device, Pool, PoolId, Reachable, Slice};
pub(crate) use state::ClaimChange;
pub use state::Devices;

/// A device: its pool and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    /// The pool.
    pub pool: PoolId,
    /// The device's name.
    pub name: Arc<str>,
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool, self.name)
    }
}

/// A claim's key, `namespace/name`.
pub(crate) fn claim_key(claim: &ResourceClaim) -> Arc<str> {
    let metadata = &claim.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default()).into()
}

/// A claim's devices, if it has some.
pub(crate) fn allocation(claim: &ResourceClaim) -> Option<&AllocationResult> {
    claim.status.as_ref()?.allocation.as_ref()
}

fn allocated_devices(claim: &ResourceClaim) -> std::vec::IntoIter<DeviceId> {
    allocation(claim).map(devices_of).unwrap_or_default().into_iter()
}

/// The devices that nobody else may have. Who has administrative access only watches them.
fn devices_of(allocation: &AllocationResult) -> Vec<DeviceId> {
    let results = allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten());
    let exclusive = results.filter(|result| result.admin_access != Some(true));
    exclusive.map(device_id).collect()
}

fn device_id(result: &DeviceRequestAllocationResult) -> DeviceId {
    let pool = PoolId { driver: result.driver.as_str().into(), name: result.pool.as_str().into() };
    DeviceId { pool, name: result.device.as_str().into() }
}

impl Snapshot {
    /// Devices and the claims for them.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Devices and the claims for them, to change them. Forks keep what they have seen.
    pub fn devices_mut(&mut self) -> &mut Devices {
        Arc::make_mut(&mut self.devices)
    }
}
