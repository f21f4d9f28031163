//! What to write about a node and its pods.

use super::pace::Eviction;
use super::taints::{self, Drive};
use super::{View, health};
use crate::pods;
use crate::runner::{Action, Note, Patch, Plan, Severity, Target, reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use std::sync::Arc;

/// A silent node is marked first; taints and pods follow from what is then written on it.
pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let node = view.node.as_ref();
    let welcome = view.first.then(|| {
        told(node, "RegisteredNode", |name| {
            format!("Node {name} event: Registered Node {name} in Controller")
        })
    });
    let mut actions: Vec<Action> = welcome.into_iter().collect();
    if health::is_silent(node, &view.probe, view.grace, now)
        && let Some(silent) = health::silenced(node, now)
    {
        let was_ready = health::is_ready(node);
        actions.push(Action::UpdateStatus(silent.into()));
        if was_ready {
            actions
                .push(told(node, "NodeNotReady", |name| format!("Node {name} status is now: NodeNotReady")));
        }
        return Plan::of(actions);
    }
    let drive = match view.eviction {
        Eviction::Allowed => Drive::Follow,
        Eviction::Later => Drive::Hold,
        Eviction::Off => Drive::Release,
    };
    if let Some(taints) = taints::wanted(node, drive, now) {
        let body = json!({"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": taints}});
        actions.push(Patch { target: Target::of(node), subresource: None, body }.into());
    }
    let reported = health::status(node, "Ready").is_some();
    if reported && !health::is_ready(node) {
        let doubtful = view.pods.iter().filter(|pod| pods::is_ready(pod) && !pods::is_terminal(pod));
        let marks: Vec<Action> = doubtful.flat_map(|pod| mark(pod, now)).collect();
        actions.extend((!marks.is_empty()).then_some(Action::Together(marks)));
    }
    Plan::of(actions)
}

fn told(node: &Node, reason: &'static str, message: impl FnOnce(&str) -> String) -> Action {
    let message = message(node.metadata.name.as_deref().unwrap_or_default());
    Note { about: reference(node), severity: Severity::Normal, reason, message }.into()
}

/// Takes a pod out of its services, as nobody knows how it is.
fn mark(pod: &Arc<Pod>, now: Timestamp) -> [Action; 2] {
    let mut marked = pod.as_ref().clone();
    if let Some(mut ready) = pods::condition(pod, "Ready").cloned() {
        ready.status = "False".into();
        ready.last_transition_time = Some(Time(now));
        pods::set_condition(&mut marked, ready);
    }
    let note = Note {
        about: reference(pod.as_ref()),
        severity: Severity::Warning,
        reason: "NodeNotReady",
        message: "Node is not ready".into(),
    };
    [Action::UpdateStatus(marked.into()), note.into()]
}
