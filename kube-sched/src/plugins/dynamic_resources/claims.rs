//! The claims of a pod.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PodResourceClaim;
use k8s_openapi::api::resource::v1::ResourceClaim;

use crate::pod::PodInfo;
use crate::snapshot::Devices;

/// A claim that a pod uses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    /// `namespace/name`.
    key: String,
    /// Whether it was made for the pod and must belong to it.
    owned: bool,
}

fn references(pod: &PodInfo) -> &[PodResourceClaim] {
    pod.spec().and_then(|spec| spec.resource_claims.as_deref()).unwrap_or_default()
}

/// Whether the pod asks for devices.
pub(super) fn any(pod: &PodInfo) -> bool {
    !references(pod).is_empty()
}

/// What a reference of the pod leads to; `None` if it leads to nothing on purpose.
fn used(pod: &PodInfo, reference: &PodResourceClaim) -> Result<Option<Use>, String> {
    let of = |name: &str, owned| Some(Use { key: format!("{}/{name}", pod.namespace()), owned });
    match (&reference.resource_claim_name, &reference.resource_claim_template_name) {
        (Some(name), _) => Ok(of(name, false)),
        (None, Some(_)) => {
            let status = pod.status.as_ref().and_then(|status| status.resource_claim_statuses.as_deref());
            let generated = status.unwrap_or_default().iter().find(|status| status.name == reference.name);
            match generated {
                Some(status) => Ok(status.resource_claim_name.as_deref().and_then(|name| of(name, true))),
                None => Err(format!("pod \"{}\": ResourceClaim not created yet", pod.key)),
            }
        }
        (None, None) => Err(format!(
            "pod \"{}\", spec.resourceClaim {:?}: none of the supported fields are set",
            pod.key, reference.name
        )),
    }
}

/// Whether the pod uses the claim `namespace/name`.
pub(super) fn uses(pod: &PodInfo, claim: &str) -> bool {
    let mut all = references(pod).iter().filter_map(|reference| used(pod, reference).ok()?);
    all.any(|used| used.key == claim)
}

/// The pod's claims, or why it cannot be scheduled with them.
pub(super) fn of<'a>(pod: &PodInfo, devices: &'a Devices) -> Result<Vec<&'a Arc<ResourceClaim>>, String> {
    let mut claims = Vec::new();
    for reference in references(pod) {
        let Some(Use { key, owned }) = used(pod, reference)? else { continue };
        let claim = devices.claim(&key).ok_or_else(|| format!("could not find resource claim {key:?}"))?;
        let name = key.rsplit('/').next().unwrap_or_default();
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("resourceclaim {name:?} is being deleted"));
        }
        let mut owners = claim.metadata.owner_references.iter().flatten();
        if owned && !owners.any(|owner| owner.controller == Some(true) && *owner.uid == *pod.uid) {
            return Err(format!(
                "ResourceClaim {key} was not created for pod {} (pod is not owner)",
                pod.key
            ));
        }
        claims.push(claim);
    }
    Ok(claims)
}

/// Whether the claim is reserved for the pod.
pub(super) fn is_reserved_for(claim: &ResourceClaim, pod: &PodInfo) -> bool {
    let reserved = claim.status.as_ref().and_then(|status| status.reserved_for.as_deref());
    reserved.unwrap_or_default().iter().any(|consumer| *consumer.uid == *pod.uid)
}
