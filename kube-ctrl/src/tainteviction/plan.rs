//! How long a pod may stay.

use super::View;
use crate::pods;
use crate::runner::{Action, Delete, Note, Plan, Severity, Target, reference};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Taint, Toleration};
use std::time::Duration;

/// How long a pod endures its node's taints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endurance {
    Forever,
    For(SignedDuration),
}

pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let limit = match endurance(&view.pod, &view.taints) {
        Endurance::Forever => return Plan::nothing(),
        Endurance::For(limit) => limit,
    };
    let left = limit - now.duration_since(view.since);
    if left > SignedDuration::ZERO {
        return Plan::nothing().again_after(Duration::try_from(left).unwrap_or_default());
    }
    Plan::of(evict(&view.pod, now))
}

/// The shortest time any taint is tolerated.
pub(super) fn endurance(pod: &Pod, taints: &[Taint]) -> Endurance {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let mut shortest = Endurance::Forever;
    for taint in taints {
        let fitting: Vec<&Toleration> =
            tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        if fitting.is_empty() {
            return Endurance::For(SignedDuration::ZERO);
        }
        let seconds = fitting.iter().filter_map(|toleration| toleration.toleration_seconds).min();
        let limit = seconds.map(|seconds| SignedDuration::from_secs(seconds.max(0)));
        shortest = match (shortest, limit) {
            (shortest, None) => shortest,
            (Endurance::Forever, Some(limit)) => Endurance::For(limit),
            (Endurance::For(shortest), Some(limit)) => Endurance::For(shortest.min(limit)),
        };
    }
    shortest
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let matches_value = match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => value == taint.value.as_deref().unwrap_or_default(),
        _ => false,
    };
    (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key) && matches_value
}

fn evict(pod: &Pod, now: Timestamp) -> Vec<Action> {
    let (namespace, name) = (pod.metadata.namespace.as_deref(), pod.metadata.name.as_deref());
    let note = Note {
        about: reference(pod),
        severity: Severity::Normal,
        reason: "TaintManagerEviction",
        message: format!(
            "Marking for deletion Pod {}/{}",
            namespace.unwrap_or_default(),
            name.unwrap_or_default()
        ),
    };
    let mut marked = pod.clone();
    let message = "Taint manager: deleting due to NoExecute taint";
    pods::set_condition(&mut marked, pods::disruption("DeletionByTaintManager", message, now));
    vec![note.into(), Action::UpdateStatus(marked.into()), Delete::of(Target::of(pod)).into()]
}
