//! Before any node is looked at: whether the pod's claims and their classes are there.

use k8s_openapi::api::resource::v1::{DeviceRequest, ResourceClaim};

use super::{DynamicResources, claims};
use crate::framework::{Cycle, Feasible, PreEnqueue, PreFilter, Status};
use crate::pod::PodInfo;
use crate::snapshot::{Devices, GateView, allocation, claim_key};

impl PreEnqueue for DynamicResources {
    fn pre_enqueue(&self, pod: &PodInfo, view: &GateView) -> Result<(), Status> {
        claims::of(pod, view.devices()).map(drop).map_err(Status::unresolvable)
    }
}

impl PreFilter for DynamicResources {
    fn pre_filter(&self, cycle: &Cycle<'_>) -> Result<Feasible, Status> {
        let devices = cycle.snapshot.devices();
        for claim in claims::of(cycle.pod, devices).map_err(Status::unresolvable)? {
            if allocation(claim).is_none() {
                allocatable(claim, devices)?;
            }
        }
        Ok(Feasible::All)
    }
}

/// Whether devices may be looked for at all.
fn allocatable(claim: &ResourceClaim, devices: &Devices) -> Result<(), Status> {
    let key = claim_key(claim);
    if devices.is_pending(&key) {
        let reason = format!("resource claim {key} is in the process of being allocated");
        return Err(Status::unresolvable(reason));
    }
    let requests = claim.spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten());
    requests.into_iter().try_for_each(|request| classes_exist(&key, request, devices))
}

fn classes_exist(claim: &str, request: &DeviceRequest, devices: &Devices) -> Result<(), Status> {
    let exists = |class: &str, request: &str| match class {
        "" => Err(Status::error(format!("request {request}: unsupported request type"))),
        class if devices.class(class).is_none() => {
            Err(Status::unresolvable(format!("request {request}: device class {class} does not exist")))
        }
        _ => Ok(()),
    };
    if let Some(exactly) = &request.exactly {
        return exists(&exactly.device_class_name, &request.name);
    }
    let alternatives = request.first_available.as_deref().unwrap_or_default();
    if alternatives.is_empty() {
        let reason = format!("resource claim {claim}, request {}: unknown request type", request.name);
        return Err(Status::unresolvable(reason));
    }
    let mut named =
        alternatives.iter().map(|sub| (&sub.device_class_name, format!("{}/{}", request.name, sub.name)));
    named.try_for_each(|(class, name)| exists(class, &name))
}
