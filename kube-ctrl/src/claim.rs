//! Which objects an owner controls, takes over, or lets go.

use crate::runner::{Action, Kind, Patch, Target, controller_of, controller_reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::core::{Selector, SelectorExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the index by controller.
pub(crate) const BY_CONTROLLER: &str = "controller";

/// Index words: the controller's uid, or, for an orphan, a word for its namespace.
pub(crate) fn controller_words<K: Kind>(object: &K) -> Vec<String> {
    vec![match controller_of(object) {
        Some(owner) => owner.uid.clone(),
        None => orphans_of(object.meta().namespace.as_deref().unwrap_or_default()),
    }]
}

/// The index word of the orphans of a namespace.
pub(crate) fn orphans_of(namespace: &str) -> String {
    format!("orphans in {namespace}")
}

/// Whether a selector matches; an absent, broken or empty selector matches nothing, as for every workload.
pub(crate) fn matches(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let empty = selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty);
    let none = BTreeMap::new();
    !empty
        && Selector::try_from(selector.clone())
            .is_ok_and(|selector| selector.matches(labels.unwrap_or(&none)))
}

/// The candidates of an owner, sorted into what it has, takes over and lets go.
#[derive(Clone, Debug)]
pub(crate) struct Claim<K> {
    /// Controlled by the owner and matching.
    pub(crate) owned: Vec<Arc<K>>,
    /// Matching orphans.
    pub(crate) adopt: Vec<Arc<K>>,
    /// Controlled by the owner, but not matching any more.
    pub(crate) release: Vec<Arc<K>>,
}

impl<K: Kind> Claim<K> {
    /// Sorts candidates: the objects the owner controls and the orphans of its namespace.
    pub(crate) fn sort<O: Kind>(owner: &O, selector: &LabelSelector, candidates: Vec<Arc<K>>) -> Self {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        let leaving = owner.meta().deletion_timestamp.is_some();
        let mut claim = Self { owned: Vec::new(), adopt: Vec::new(), release: Vec::new() };
        for object in candidates {
            let fits = matches(selector, object.meta().labels.as_ref());
            match controller_of(object.as_ref()) {
                Some(controller) if controller.uid != uid => {}
                Some(_) if fits => claim.owned.push(object),
                Some(_) if !leaving => claim.release.push(object),
                None if fits && !leaving && object.meta().deletion_timestamp.is_none() => {
                    claim.adopt.push(object)
                }
                _ => {}
            }
        }
        claim
    }

    /// The patches that take over and let go.
    pub(crate) fn actions<O: Kind>(&self, owner: &O) -> Vec<Action> {
        let adopt = self.adopt.iter().map(|object| adopt(owner, object.as_ref()));
        let release = self.release.iter().map(|object| release(owner, object.as_ref()));
        let patches: Vec<Action> = adopt.chain(release).collect();
        if patches.is_empty() { Vec::new() } else { vec![Action::Together(patches)] }
    }

    /// What the owner has once the patches are done.
    pub(crate) fn members(&self) -> Vec<Arc<K>> {
        self.owned.iter().chain(&self.adopt).cloned().collect()
    }
}

fn adopt<O: Kind, K: Kind>(owner: &O, object: &K) -> Action {
    let mut owners = object.meta().owner_references.clone().unwrap_or_default();
    owners.push(controller_reference(owner));
    set_owners(object, &owners)
}

fn release<O: Kind, K: Kind>(owner: &O, object: &K) -> Action {
    let mut owners = object.meta().owner_references.clone().unwrap_or_default();
    owners.retain(|reference| Some(&reference.uid) != owner.meta().uid.as_ref());
    set_owners(object, &owners)
}

/// Replaces the owner references, provided that the object has not changed since it was seen.
fn set_owners<K: Kind>(object: &K, owners: &[OwnerReference]) -> Action {
    let body = serde_json::json!({"metadata": {
        "uid": object.meta().uid,
        "resourceVersion": object.meta().resource_version,
        "ownerReferences": owners,
    }});
    Action::from(Patch { target: Target::of(object), subresource: None, body })
}
