//! Keeps the number of pods of each ReplicaSet at `spec.replicas`.

mod plan;
mod rank;
mod status;
#[cfg(test)]
mod tests;

use crate::claim::{self, BY_CONTROLLER, Claim};
use crate::runner::{Change, Informer, Informers, Key, Kind, Plan, Reconcile, Wiring, controller_of};
use crate::{Result, pods};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use std::collections::HashMap;
use std::sync::Arc;

/// The controller `replicaset-controller`.
#[derive(Debug)]
pub struct ReplicaSetController {
    informers: Arc<Informers>,
    sets: Informer<ReplicaSet>,
    pods: Informer<Pod>,
}

/// What the plan for one ReplicaSet looks at.
#[derive(Debug)]
pub struct View {
    set: Arc<ReplicaSet>,
    claim: Claim<Pod>,
    /// Per node, the active pods of this set and of its siblings under the same owner.
    crowd: HashMap<String, usize>,
}

impl ReplicaSetController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        let (sets, pods) = (informers.get(), informers.get());
        pods.index(BY_CONTROLLER, claim::controller_words);
        sets.index(BY_CONTROLLER, claim::controller_words);
        Self { informers: informers.clone(), sets, pods }
    }

    fn crowd(&self, set: &ReplicaSet) -> HashMap<String, usize> {
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let family: Vec<String> = match controller_of(set) {
            None => vec![uid],
            Some(owner) => {
                let siblings = self.sets.by_index(BY_CONTROLLER, &owner.uid);
                siblings.iter().filter_map(|sibling| sibling.metadata.uid.clone()).collect()
            }
        };
        let mut crowd = HashMap::new();
        for pod in family.iter().flat_map(|uid| self.pods.by_index(BY_CONTROLLER, uid)) {
            if pods::is_active(&pod) {
                *crowd.entry(pods::node(&pod).to_owned()).or_default() += 1;
            }
        }
        crowd
    }
}

/// The sets that a changed pod concerns: its controller, or any set that could adopt it.
fn sets_of(sets: &Informer<ReplicaSet>, change: &Change<Pod>) -> Vec<Key> {
    let mut keys = Vec::new();
    for pod in change.versions() {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        match controller_of(pod.as_ref()) {
            Some(owner) if owner.kind == "ReplicaSet" => keys.push(Key::new(namespace, &owner.name)),
            Some(_) => {}
            None => {
                let fits = |set: &Arc<ReplicaSet>| {
                    set.spec
                        .as_ref()
                        .is_some_and(|spec| claim::matches(&spec.selector, pod.metadata.labels.as_ref()))
                };
                keys.extend(
                    sets.in_namespace(namespace)
                        .iter()
                        .filter(|set| fits(set))
                        .map(|set| Key::of(set.as_ref())),
                );
            }
        }
    }
    keys
}

impl Reconcile for ReplicaSetController {
    type View = View;

    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<ReplicaSet>();
        let sets = self.sets.clone();
        wiring.watch::<Pod>(move |change| sets_of(&sets, change));
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let Some(set) = self.sets.get(key) else { return Ok(None) };
        let Some(spec) = &set.spec else { return Ok(None) };
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let mut candidates = self.pods.by_index(BY_CONTROLLER, &uid);
        candidates.extend(self.pods.by_index(BY_CONTROLLER, &claim::orphans_of(&key.namespace)));
        candidates.retain(|pod| !pods::is_terminal(pod));
        let mut claim = Claim::sort(set.as_ref(), &spec.selector, candidates);
        if !claim.adopt.is_empty() && !still_alive(&self.informers, set.as_ref()).await? {
            claim.adopt.clear();
        }
        let crowd = self.crowd(&set);
        Ok(Some(View { set, claim, crowd }))
    }

    fn plan(&self, view: &View, now: Timestamp) -> Plan {
        plan::plan(view, now)
    }

    fn report(&self, view: &View, outcome: &Result<()>, now: Timestamp) -> Plan {
        status::report(view, outcome, now)
    }
}

/// Asks the server itself whether an owner still lives: a cache may not know yet that it is being deleted and its
/// dependents are being orphaned on purpose.
pub(crate) async fn still_alive<K: Kind>(informers: &Informers, owner: &K) -> Result<bool> {
    let meta = owner.meta();
    let api = K::api(informers.client(), meta.namespace.as_deref().unwrap_or_default());
    let fresh = api.get_metadata_opt(meta.name.as_deref().unwrap_or_default()).await?;
    let lives = |fresh: &kube::api::PartialObjectMeta<K>| {
        fresh.metadata.uid == meta.uid && fresh.metadata.deletion_timestamp.is_none()
    };
    Ok(fresh.as_ref().is_some_and(lives))
}
