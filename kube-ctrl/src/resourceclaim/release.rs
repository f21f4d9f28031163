//! What a claim is kept for that nobody uses.

use super::ClaimView;
use super::facts::{self, FINALIZER};
use crate::runner::{Action, Delete, Plan, Target};
use k8s_openapi::api::resource::v1::ResourceClaim;

/// Drops reservations of pods that are done. When none is left, the devices are given back, and a claim goes that was made for a
/// pod that is done or that is being deleted.
///
/// The finalizer stays on a claim that is not: the scheduler adds it before it allocates, so that taking it away could meet a new
/// allocation, which would then be unprotected.
pub(super) fn plan(view: &ClaimView) -> Plan {
    let claim = view.claim.as_ref();
    let protected = claim.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let (unused, leaving) = (view.users.is_empty(), claim.metadata.deletion_timestamp.is_some());
    let allocated = claim.status.as_ref().is_some_and(|status| status.allocation.is_some());
    let mut actions = Vec::new();
    if view.users.len() < facts::users(claim).len() || (unused && protected && leaving && allocated) {
        actions.push(release(view, unused && protected));
    } else if unused && protected && leaving {
        actions.push(unprotect(claim));
    }
    if unused && view.orphaned && !leaving {
        actions.push(Delete::of(Target::of(claim)).into());
    }
    Plan::of(actions)
}

/// The claim goes; what it had was given back before, as somebody else may keep it for a while.
fn unprotect(claim: &ResourceClaim) -> Action {
    let mut claim = claim.clone();
    claim.metadata.finalizers.iter_mut().for_each(|list| list.retain(|finalizer| finalizer != FINALIZER));
    Action::Update(claim.into())
}

fn release(view: &ClaimView, deallocate: bool) -> Action {
    let mut claim = view.claim.as_ref().clone();
    let status = claim.status.get_or_insert_default();
    status.reserved_for = Some(view.users.clone()).filter(|users| !users.is_empty());
    if deallocate {
        status.allocation = None;
        status.devices = None;
    }
    Action::UpdateStatus(claim.into())
}
