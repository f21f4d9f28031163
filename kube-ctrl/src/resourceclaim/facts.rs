//! What pods and claims say about each other.

use crate::pods;
use crate::runner::{Key, controller_of};
use k8s_openapi::api::core::v1::{Pod, PodResourceClaim};
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// Says for which entry of its pod a claim was made.
pub(super) const ANNOTATION: &str = "resource.kubernetes.io/pod-claim-name";
/// Keeps a claim with devices until they are given back.
pub(super) const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
/// So many pods may use a claim at once.
const MAX_USERS: usize = 256;

/// A claim that an entry of a pod stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    /// Whether it was made for the pod.
    pub(super) generated: bool,
}

/// The claims that a pod asks for.
pub(super) fn entries(pod: &Pod) -> impl Iterator<Item = &PodResourceClaim> {
    pod.spec.iter().flat_map(|spec| spec.resource_claims.iter().flatten())
}

/// The claim that an entry stands for; `None` while there is none, or if none is needed.
pub(super) fn claim_of<'a>(pod: &'a Pod, entry: &'a PodResourceClaim) -> Option<Named<'a>> {
    if let Some(name) = &entry.resource_claim_name {
        return Some(Named { name, generated: false });
    }
    let name = status_of(pod, entry)??;
    Some(Named { name, generated: true })
}

/// Whether somebody has said that the entry needs no claim.
pub(super) fn is_unneeded(pod: &Pod, entry: &PodResourceClaim) -> bool {
    status_of(pod, entry) == Some(None)
}

/// The claim that the pod's status names for an entry, if it says anything about it.
fn status_of<'a>(pod: &'a Pod, entry: &PodResourceClaim) -> Option<Option<&'a str>> {
    let mut statuses = pod.status.iter().flat_map(|status| status.resource_claim_statuses.iter().flatten());
    let status = statuses.find(|status| status.name == entry.name)?;
    Some(status.resource_claim_name.as_deref())
}

/// The keys of all claims that a pod's entries stand for.
pub(super) fn claim_keys(pod: &Pod) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let named = entries(pod).filter_map(|entry| claim_of(pod, entry));
    named.map(|claim| Key::new(namespace, claim.name)).collect()
}

pub(super) fn claim_word(key: &Key) -> String {
    format!("claim {key}")
}

pub(super) fn template_word(key: &Key) -> String {
    format!("template {key}")
}

/// Index words of a pod: the claims and templates that it names.
pub(super) fn named_words(pod: &Pod) -> Vec<String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let templates = entries(pod).filter_map(|entry| entry.resource_claim_template_name.as_ref());
    let templates = templates.map(|name| template_word(&Key::new(namespace, name)));
    claim_keys(pod).iter().map(claim_word).chain(templates).collect()
}

/// The pod that a claim was made for.
pub(super) fn owner(claim: &ResourceClaim) -> Option<&OwnerReference> {
    controller_of(claim).filter(|owner| owner.kind == "Pod" && owner.api_version == "v1")
}

/// Index words of a claim: the pod that it was made for.
pub(super) fn owner_words(claim: &ResourceClaim) -> Vec<String> {
    owner(claim).map(|owner| owner.uid.clone()).into_iter().collect()
}

/// Whether a claim was made for this very pod.
pub(super) fn is_for(pod: &Pod, claim: &ResourceClaim) -> bool {
    controller_of(claim).is_some_and(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref())
}

/// Whether a pod will never run again, and so needs no devices.
pub(super) fn is_done(pod: &Pod) -> bool {
    pods::is_terminal(pod) || (pods::is_terminating(pod) && pods::node(pod).is_empty())
}

/// The reservations of a claim.
pub(super) fn users(claim: &ResourceClaim) -> &[ResourceClaimConsumerReference] {
    claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default()
}

/// Whether a reservation is a pod's.
pub(super) fn is_pod(user: &ResourceClaimConsumerReference) -> bool {
    user.api_group.as_deref().unwrap_or_default().is_empty() && user.resource == "pods"
}

/// Whether a claim has devices that a pod may use besides those that do already.
pub(super) fn can_be_reserved(pod: &Pod, claim: &ResourceClaim) -> bool {
    let allocated = claim.status.as_ref().is_some_and(|status| status.allocation.is_some());
    let reserved = users(claim).iter().any(|user| Some(&user.uid) == pod.metadata.uid.as_ref());
    allocated && !reserved && users(claim).len() < MAX_USERS
}
