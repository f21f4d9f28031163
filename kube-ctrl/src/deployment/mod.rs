//! Rolls out the pod template of each Deployment through ReplicaSets.

mod conditions;
mod history;
mod plan;
mod rollout;
mod scale;
mod sets;
mod status;
mod strategy;
mod template;
#[cfg(test)]
mod tests;

use crate::claim::{self, BY_CONTROLLER, Claim};
use crate::replicaset::still_alive;
use crate::runner::{Change, Informer, Informers, Key, Plan, Reconcile, Wiring, controller_of};
use crate::{Result, pods};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use std::sync::Arc;

/// The controller `deployment-controller`.
#[derive(Debug)]
pub struct DeploymentController {
    informers: Arc<Informers>,
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    pods: Informer<Pod>,
}

/// What the plan for one Deployment looks at.
#[derive(Debug)]
pub struct View {
    deployment: Arc<Deployment>,
    claim: Claim<ReplicaSet>,
    /// The set that already has the name the next one would get.
    namesake: Option<Arc<ReplicaSet>>,
    /// The uids of sets that still have pods which have not ended.
    busy: Vec<String>,
}

impl DeploymentController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        let (sets, pods): (Informer<ReplicaSet>, Informer<Pod>) = (informers.get(), informers.get());
        sets.index(BY_CONTROLLER, claim::controller_words);
        pods.index(BY_CONTROLLER, claim::controller_words);
        Self { informers: informers.clone(), deployments: informers.get(), sets, pods }
    }

    fn busy(&self, claim: &Claim<ReplicaSet>) -> Vec<String> {
        let uids = claim.members().into_iter().filter_map(|set| set.metadata.uid.clone());
        let has_pods =
            |uid: &String| self.pods.by_index(BY_CONTROLLER, uid).iter().any(|pod| !pods::is_terminal(pod));
        uids.filter(has_pods).collect()
    }
}

/// The deployments that a changed set concerns: its controller, or any that could adopt it.
fn deployments_of(deployments: &Informer<Deployment>, change: &Change<ReplicaSet>) -> Vec<Key> {
    let mut keys = Vec::new();
    for set in change.versions() {
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        match controller_of(set.as_ref()) {
            Some(owner) if owner.kind == "Deployment" => keys.push(Key::new(namespace, &owner.name)),
            Some(_) => {}
            None => {
                let labels = set.metadata.labels.as_ref();
                let fits = |d: &Arc<Deployment>| {
                    d.spec.as_ref().is_some_and(|spec| claim::matches(&spec.selector, labels))
                };
                keys.extend(
                    deployments
                        .in_namespace(namespace)
                        .iter()
                        .filter(|d| fits(d))
                        .map(|d| Key::of(d.as_ref())),
                );
            }
        }
    }
    keys
}

/// A vanished pod lets a `Recreate` deployment go on; its set says which deployment that is.
fn waiting_for(sets: &Informer<ReplicaSet>, change: &Change<Pod>) -> Option<Key> {
    let pod = change.latest()?;
    let ended = change.new.as_ref().is_none_or(|pod| pods::is_terminal(pod));
    let owner = controller_of(pod.as_ref()).filter(|owner| ended && owner.kind == "ReplicaSet")?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let set = sets.get(&Key::new(namespace, &owner.name))?;
    let owner = controller_of(set.as_ref())?;
    Some(Key::new(namespace, &owner.name))
}

impl Reconcile for DeploymentController {
    type View = View;

    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Deployment>();
        let deployments = self.deployments.clone();
        wiring.watch::<ReplicaSet>(move |change| deployments_of(&deployments, change));
        let sets = self.sets.clone();
        wiring.watch::<Pod>(move |change| waiting_for(&sets, change).into_iter().collect());
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let Some(deployment) = self.deployments.get(key) else { return Ok(None) };
        let Some(spec) = &deployment.spec else { return Ok(None) };
        let uid = deployment.meta().uid.clone().unwrap_or_default();
        let mut candidates = self.sets.by_index(BY_CONTROLLER, &uid);
        candidates.extend(self.sets.by_index(BY_CONTROLLER, &claim::orphans_of(&key.namespace)));
        let mut claim = Claim::sort(deployment.as_ref(), &spec.selector, candidates);
        if !claim.adopt.is_empty() && !still_alive(&self.informers, deployment.as_ref()).await? {
            claim.adopt.clear();
        }
        let name = template::set_name(&deployment);
        let namesake = self.sets.get(&Key::new(&key.namespace, name));
        let busy = self.busy(&claim);
        Ok(Some(View { deployment, claim, namesake, busy }))
    }

    fn plan(&self, view: &View, now: Timestamp) -> Plan {
        plan::plan(view, now)
    }

    fn report(&self, view: &View, outcome: &Result<()>, now: Timestamp) -> Plan {
        plan::report(view, outcome, now)
    }
}
