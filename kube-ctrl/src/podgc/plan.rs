//! Which pods go.

use super::View;
use crate::pods;
use crate::runner::{Action, Delete, Plan, Target};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use std::sync::Arc;

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Whether an administrator has given up a node that is indeed not ready.
pub(super) fn is_out_of_service(node: &Node) -> bool {
    let tainted = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    !ready && tainted.into_iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let mut actions: Vec<Action> = surplus(view).iter().map(|pod| remove(pod, None)).collect();
    for pod in &view.pods {
        let (node, terminating) = (pods::node(pod), pods::is_terminating(pod));
        if terminating && view.out_of_service.contains(node) {
            actions.push(remove(pod, None));
        } else if view.gone.contains(node) {
            let lost = pods::disruption("DeletionByPodGC", "PodGC: node no longer exists", now);
            actions.push(remove(pod, Some(lost)));
        } else if terminating && node.is_empty() {
            actions.push(remove(pod, None));
        }
    }
    // One pod that cannot be deleted must not keep the others.
    Plan::of(if actions.is_empty() { actions } else { vec![Action::Together(actions)] })
}

/// The oldest ended pods beyond the threshold, evicted ones before others.
fn surplus(view: &View) -> Vec<Arc<Pod>> {
    let mut ended: Vec<Arc<Pod>> = view
        .pods
        .iter()
        .filter(|pod| pods::is_terminal(pod) && !pods::is_terminating(pod))
        .cloned()
        .collect();
    if view.threshold == 0 || ended.len() <= view.threshold {
        return Vec::new();
    }
    let surplus = ended.len() - view.threshold;
    ended.sort_by_key(|pod| {
        let evicted = pod.status.as_ref().and_then(|status| status.reason.as_deref()) == Some("Evicted");
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (!evicted, created, pod.metadata.name.clone())
    });
    ended.truncate(surplus);
    ended
}

/// Marks a pod as failed, as it will never report that itself, and deletes it without grace.
fn remove(pod: &Arc<Pod>, condition: Option<PodCondition>) -> Action {
    let delete: Action = Delete { grace: Some(0), ..Delete::of(Target::of(pod.as_ref())) }.into();
    if pods::is_terminal(pod) {
        return delete;
    }
    let mut failed = pod.as_ref().clone();
    failed.status.get_or_insert_default().phase = Some("Failed".into());
    if let Some(condition) = condition {
        pods::set_condition(&mut failed, condition);
    }
    Action::InOrder(vec![Action::UpdateStatus(failed.into()), delete])
}
