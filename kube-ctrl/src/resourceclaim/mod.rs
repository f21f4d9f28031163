//! Claims for devices: made from the templates that pods name, reserved for pods that were bound past the scheduler, and
//! given back when their pods are done.
//!
//! Two controllers share the work, for pods and for claims, as they have different keys; one name switches both.

mod facts;
mod make;
mod release;
#[cfg(test)]
mod tests;

use crate::runner::{Change, Informer, Informers, Key, Plan, Reconcile, Wiring};
use crate::{Result, pods};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate};
use kube::api::Api;
use std::collections::HashMap;
use std::sync::Arc;

/// The index of pods by the claims and templates they name.
const BY_NAMED: &str = "claims";
/// The index of claims by the pod that owns them.
const BY_OWNER: &str = "owner";

/// Makes the claims that pods name templates for.
#[derive(Debug)]
pub struct PodClaimsController {
    pods: Informer<Pod>,
    claims: Informer<ResourceClaim>,
    templates: Informer<ResourceClaimTemplate>,
}

/// A pod with claims, and what there is of them.
#[derive(Debug)]
pub struct PodView {
    pod: Arc<Pod>,
    /// Claims of the pod's namespace by name, as far as the pod names or owns them.
    claims: HashMap<String, Arc<ResourceClaim>>,
    /// The templates that the pod names and that exist.
    templates: HashMap<String, Arc<ResourceClaimTemplate>>,
}

/// Gives claims back that no pod uses any more.
#[derive(Debug)]
pub struct ClaimReleaseController {
    informers: Arc<Informers>,
    pods: Informer<Pod>,
    claims: Informer<ResourceClaim>,
}

/// A claim, and who still uses it.
#[derive(Debug)]
pub struct ClaimView {
    claim: Arc<ResourceClaim>,
    /// The reservations of pods that run or will.
    users: Vec<ResourceClaimConsumerReference>,
    /// Whether the pod that it was made for is done.
    orphaned: bool,
}

impl PodClaimsController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        let (pods, claims) = (informers.get(), informers.get());
        pods.index(BY_NAMED, facts::named_words);
        claims.index(BY_OWNER, facts::owner_words);
        Self { pods, claims, templates: informers.get() }
    }
}

impl ClaimReleaseController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        Self { informers: informers.clone(), pods: informers.get(), claims: informers.get() }
    }

    /// Whether the pod of a reservation runs or will. The cache may be behind, so the API has the last word on a pod that is not
    /// there.
    async fn is_used(&self, namespace: &str, user: &ResourceClaimConsumerReference) -> Result<bool> {
        let same = |pod: &Pod| pod.metadata.uid.as_deref() == Some(user.uid.as_str());
        if let Some(pod) = self.pods.get(&Key::new(namespace, &user.name)).filter(|pod| same(pod)) {
            return Ok(!facts::is_done(&pod));
        }
        let pods: Api<Pod> = Api::namespaced(self.informers.client(), namespace);
        Ok(pods.get_opt(&user.name).await?.is_some_and(|pod| same(&pod) && !facts::is_done(&pod)))
    }

    /// Whether the claim was made for a pod that is done or has a successor. A pod that is gone takes its claims along.
    fn is_orphaned(&self, claim: &ResourceClaim) -> bool {
        let Some(owner) = facts::owner(claim) else { return false };
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let pod = self.pods.get(&Key::new(namespace, &owner.name));
        pod.is_some_and(|pod| pod.metadata.uid.as_ref() != Some(&owner.uid) || facts::is_done(&pod))
    }
}

/// The pods that a changed claim concerns: its owner and those that name it.
fn pods_of(pods: &Informer<Pod>, change: &Change<ResourceClaim>) -> Vec<Key> {
    let mut keys = Vec::new();
    for claim in change.versions() {
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let owner = facts::owner(claim);
        keys.extend(owner.map(|owner| Key::new(namespace, &owner.name)));
        let named = pods.by_index(BY_NAMED, &facts::claim_word(&Key::of(claim.as_ref())));
        keys.extend(named.iter().map(|pod| Key::of(pod.as_ref())));
    }
    keys
}

impl Reconcile for PodClaimsController {
    type View = PodView;

    fn name(&self) -> &'static str {
        "resource_claim"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.watch::<Pod>(|change| {
            let pod = change.new.as_ref().filter(|pod| facts::entries(pod).next().is_some());
            pod.map(|pod| Key::of(pod.as_ref())).into_iter().collect()
        });
        let pods = self.pods.clone();
        wiring.watch::<ResourceClaim>(move |change| pods_of(&pods, change));
        let pods = self.pods.clone();
        wiring.watch::<ResourceClaimTemplate>(move |change| {
            let words = change.latest().map(|template| facts::template_word(&Key::of(template.as_ref())));
            let waiting = words.iter().flat_map(|word| pods.by_index(BY_NAMED, word));
            waiting.map(|pod| Key::of(pod.as_ref())).collect()
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<PodView>> {
        let Some(pod) = self.pods.get(key).filter(|pod| pods::is_active(pod)) else { return Ok(None) };
        let named = facts::entries(&pod).filter_map(|entry| facts::claim_of(&pod, entry));
        let named = named.filter_map(|claim| self.claims.get(&Key::new(&key.namespace, claim.name)));
        let owned = self.claims.by_index(BY_OWNER, pod.metadata.uid.as_deref().unwrap_or_default());
        let by_name = |claim: Arc<ResourceClaim>| (claim.metadata.name.clone().unwrap_or_default(), claim);
        let claims = named.chain(owned).map(by_name).collect();
        let template =
            |name: &String| Some((name.clone(), self.templates.get(&Key::new(&key.namespace, name))?));
        let named = facts::entries(&pod).filter_map(|entry| entry.resource_claim_template_name.as_ref());
        let templates = named.filter_map(template).collect();
        Ok(Some(PodView { pod, claims, templates }))
    }

    fn plan(&self, view: &PodView, _: Timestamp) -> Plan {
        make::plan(view)
    }
}

impl Reconcile for ClaimReleaseController {
    type View = ClaimView;

    fn name(&self) -> &'static str {
        "resource_claim"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<ResourceClaim>();
        wiring.watch::<Pod>(|change| match (&change.old, &change.new) {
            (_, Some(pod)) if facts::is_done(pod) => facts::claim_keys(pod),
            (Some(pod), None) => facts::claim_keys(pod),
            // One pod went and another took its name while nobody looked.
            (Some(old), Some(new)) if old.metadata.uid != new.metadata.uid => facts::claim_keys(old),
            _ => Vec::new(),
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<ClaimView>> {
        let Some(claim) = self.claims.get(key) else { return Ok(None) };
        let mut users = Vec::new();
        for user in facts::users(&claim) {
            if !facts::is_pod(user) {
                // Somebody else reserved it, so that somebody else has to say when it is free.
                return Ok(None);
            }
            if self.is_used(&key.namespace, user).await? {
                users.push(user.clone());
            }
        }
        let orphaned = self.is_orphaned(&claim);
        Ok(Some(ClaimView { claim, users, orphaned }))
    }

    fn plan(&self, view: &ClaimView, _: Timestamp) -> Plan {
        release::plan(view)
    }
}
