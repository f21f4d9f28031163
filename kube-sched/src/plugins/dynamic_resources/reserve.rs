//! Taking devices, before the API server knows of it.

use std::sync::Arc;

use super::filter::Claims;
use super::{DynamicResources, claims};
use crate::framework::{Binding, Reserve, Status};
use crate::snapshot::{DevicePlan, PlannedClaim, Snapshot, allocation};

impl Reserve for DynamicResources {
    fn reserve(&self, snapshot: &mut Snapshot, binding: &Binding<'_>) -> Result<(), Status> {
        if !claims::any(binding.pod) {
            return Ok(());
        }
        let plan = plan(self, snapshot, binding)?;
        if !plan.claims.is_empty() {
            snapshot.devices_mut().set_plan(&binding.pod.key, plan);
        }
        Ok(())
    }

    fn unreserve(&self, snapshot: &mut Snapshot, binding: &Binding<'_>) {
        if snapshot.devices().plan(&binding.pod.key).is_some() {
            snapshot.devices_mut().drop_plan(&binding.pod.key);
        }
    }
}

fn plan(plugin: &DynamicResources, snapshot: &Snapshot, binding: &Binding<'_>) -> Result<DevicePlan, Status> {
    let Some(mut claims) = Claims::of(plugin, snapshot, binding.pod)? else {
        return Ok(DevicePlan::default());
    };
    let Some(node) = snapshot.node(binding.node).and_then(|view| view.info()) else {
        return Err(Status::error("claim allocation not found for node"));
    };
    let mut allocations = claims.allocate(node)?.into_iter();
    let mut plan = DevicePlan::default();
    for claim in claims.all {
        if claims::is_reserved_for(claim, binding.pod) {
            continue;
        }
        let allocation = if allocation(claim).is_none() { allocations.next() } else { None };
        plan.claims.push(PlannedClaim { claim: Arc::clone(claim), allocation, written: Arc::default() });
    }
    Ok(plan)
}
