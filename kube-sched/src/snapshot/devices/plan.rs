//! Allocations on their way to the API server.

use std::sync::{Arc, OnceLock};

use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};

use super::DeviceId;

/// What has to happen to a pod's claims for devices before it is bound.
#[derive(Debug, Clone, Default)]
pub struct DevicePlan {
    /// The claims that are not reserved for the pod yet.
    pub claims: Vec<PlannedClaim>,
}

/// A claim that is to be reserved for a pod.
#[derive(Debug, Clone)]
pub struct PlannedClaim {
    /// The claim as it was when its node was chosen.
    pub claim: Arc<ResourceClaim>,
    /// The devices for it, if it has none yet.
    pub allocation: Option<AllocationResult>,
    /// The version of the claim in which the allocation was written; set by whoever writes it.
    pub written: Arc<OnceLock<String>>,
}

/// An allocation that the API server has not confirmed.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) pod: Arc<str>,
    pub(super) uid: Option<String>,
    pub(super) devices: Vec<DeviceId>,
    written: Arc<OnceLock<String>>,
}

impl Pending {
    pub(super) fn new(pod: &Arc<str>, planned: &PlannedClaim, devices: Vec<DeviceId>) -> Self {
        let (uid, written) = (planned.claim.metadata.uid.clone(), Arc::clone(&planned.written));
        Self { pod: Arc::clone(pod), uid, devices, written }
    }

    /// Whether the API server knows of it, or may do so.
    pub(super) fn is_written(&self) -> bool {
        self.written.get().is_some()
    }

    /// Whether what the API server says of the claim is newer than this.
    pub(super) fn is_settled_by(&self, claim: &ResourceClaim) -> bool {
        let allocated = claim.status.as_ref().is_some_and(|status| status.allocation.is_some());
        let number = |version: &str| version.parse::<u64>().ok();
        let seen = claim.metadata.resource_version.as_deref().and_then(number);
        // Versions may be compared since Kubernetes 1.35.
        let newer = self
            .written
            .get()
            .and_then(|version| number(version))
            .is_some_and(|written| seen >= Some(written));
        allocated || newer || claim.metadata.uid != self.uid
    }
}
