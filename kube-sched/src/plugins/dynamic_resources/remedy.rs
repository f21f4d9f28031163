//! When no node suits: devices that were allocated on the wrong node are given back.

use std::sync::Arc;

use k8s_openapi::api::resource::v1::ResourceClaim;

use super::filter::{UNAVAILABLE, is_elsewhere};
use super::{DynamicResources, claims};
use crate::framework::{
    Cycle, NodeStatus, Plugin, PostFilter, PostFilterOutcome, PreFilter, Profile, Reason,
};
use crate::pod::PodInfo;

impl PostFilter for DynamicResources {
    fn post_filter(&self, cycle: &Cycle<'_>, _: &Profile, refused: &[NodeStatus]) -> PostFilterOutcome {
        let claims = claims::of(cycle.pod, cycle.snapshot.devices()).unwrap_or_default();
        let says = |reason: &'static str| PostFilterOutcome::Ineligible(vec![reason.into()]);
        // Of claims that were not even looked at upstream knows nothing here.
        if claims.is_empty() || self.pre_filter(cycle).is_err() {
            return says("no new claims to deallocate");
        }
        let ours = refused.iter().filter(|refused| {
            refused.plugin == self.name()
                && refused.status.reasons.iter().map(Reason::as_str).any(|r| r == UNAVAILABLE)
        });
        let nodes: Vec<_> = ours.filter_map(|refused| cycle.snapshot.view(refused.node).info()).collect();
        let in_the_way = |claim: &&&Arc<ResourceClaim>| {
            is_idle(claim, cycle.pod) && nodes.iter().any(|node| is_elsewhere(claim, node))
        };
        match claims.iter().find(in_the_way) {
            Some(claim) => PostFilterOutcome::Deallocate {
                claim: Arc::clone(claim),
                reasons: vec!["deallocation of ResourceClaim completed".into()],
            },
            None => says("still not schedulable"),
        }
    }
}

/// Whether nobody but the pod uses the claim.
fn is_idle(claim: &ResourceClaim, pod: &PodInfo) -> bool {
    let reserved = claim.status.as_ref().and_then(|status| status.reserved_for.as_deref());
    match reserved.unwrap_or_default() {
        [] => true,
        [consumer] => *consumer.uid == *pod.uid,
        _ => false,
    }
}
