//! How many pods to create, or which to delete.

use super::{View, rank};
use crate::pods;
use crate::runner::{Action, Announce, Delete, Kind, Plan, Target, controller_reference, reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::api::ObjectMeta;
use std::sync::Arc;

/// At most so many pods are created or deleted in one plan.
const BURST: usize = 500;

/// The pods to create or delete.
pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let set = view.set.as_ref();
    let mut actions = view.claim.actions(set);
    let Some(spec) = set.spec.as_ref().filter(|_| set.metadata.deletion_timestamp.is_none()) else {
        return Plan::of(actions);
    };
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    let active = super::status::active(view);
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        let pod = pod_from_template(set, spec.template.as_ref());
        let create = Action::Create(pod.into(), Some(Box::new(announce(set))));
        actions.push(Action::SlowStart(vec![create; missing]));
    } else if active.len() > wanted {
        let surplus = (active.len() - wanted).min(BURST);
        let doomed = rank::least_wanted(active, &view.crowd, surplus, now);
        actions.push(Action::Together(doomed.iter().map(|pod| delete(set, pod)).collect()));
    }
    Plan::of(actions)
}

/// Events about pods created and deleted for an owner.
pub(crate) fn announce<O: Kind>(owner: &O) -> Announce {
    let (done, failed) = (("SuccessfulCreate", "Created pod: "), ("FailedCreate", "Error creating: ".into()));
    Announce { about: reference(owner), done: Some(done), failed }
}

fn delete<O: Kind>(owner: &O, pod: &Arc<Pod>) -> Action {
    let (done, failed) = (("SuccessfulDelete", "Deleted pod: "), ("FailedDelete", "Error deleting: ".into()));
    let announce = Announce { about: reference(owner), done: Some(done), failed };
    Action::from(Delete { announce: Some(announce), ..Delete::of(Target::of(pod.as_ref())) })
}

/// A pod as its owner's template describes it; the server completes the name.
pub(crate) fn pod_from_template<O: Kind>(owner: &O, template: Option<&PodTemplateSpec>) -> Pod {
    let meta = template.and_then(|template| template.metadata.clone()).unwrap_or_default();
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-", owner.meta().name.as_deref().unwrap_or_default())),
        namespace: owner.meta().namespace.clone(),
        labels: meta.labels,
        annotations: meta.annotations,
        finalizers: meta.finalizers,
        owner_references: Some(vec![controller_reference(owner)]),
        ..ObjectMeta::default()
    };
    Pod { metadata, spec: template.and_then(|template| template.spec.clone()), status: None }
}

/// When the next pod of the set becomes available by time alone.
pub(super) fn next_available(pods: &[Arc<Pod>], min_ready_seconds: i32, now: Timestamp) -> Option<Timestamp> {
    pods.iter().filter_map(|pod| pods::available_at(pod, min_ready_seconds)).filter(|at| *at > now).min()
}
