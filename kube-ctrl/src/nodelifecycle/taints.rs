//! The taints that a node's conditions call for.

use super::health;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Condition, its bad status, and the taint that keeps new pods away.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The taint that drives pods away.
pub(super) fn evicting(node: &Node) -> Option<&'static str> {
    match health::status(node, "Ready") {
        Some("False") => Some(NOT_READY),
        Some("Unknown") => Some(UNREACHABLE),
        _ => None,
    }
}

/// Whether the node already drives its pods away as it should.
pub(super) fn is_evicting(node: &Node) -> bool {
    let has = |key: &str| taints(node).iter().any(|taint| taint.key == key && taint.effect == "NoExecute");
    evicting(node).is_none_or(has)
}

fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// What to do about the taints that drive pods away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// Add the one called for, drop the other.
    Follow,
    /// Keep what is there, but drop what is not called for.
    Hold,
    /// Drop both.
    Release,
}

/// The taints the node should have; none if it has them. Taints of others stay as they are, in their order.
pub(super) fn wanted(node: &Node, drive: Drive, now: Timestamp) -> Option<Vec<Taint>> {
    let unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    let bad = BY_CONDITION.iter().filter(|(type_, bad, _)| health::status(node, type_) == Some(bad));
    let mut keys: Vec<&str> = bad.map(|(.., key)| *key).collect();
    keys.extend(unschedulable.then_some(UNSCHEDULABLE));
    let mut wanted: Vec<(&str, &str)> = keys.into_iter().map(|key| (key, "NoSchedule")).collect();
    if drive != Drive::Release {
        wanted.extend(evicting(node).map(|key| (key, "NoExecute")));
    }
    let same = |taint: &Taint, (key, effect): &(&str, &str)| taint.key == *key && taint.effect == *effect;
    let mut result: Vec<Taint> = taints(node).to_vec();
    result.retain(|taint| !is_ours(taint) || wanted.iter().any(|wanted| same(taint, wanted)));
    for next in wanted {
        let held = next.1 == "NoExecute" && drive == Drive::Hold;
        if !held && !result.iter().any(|taint| same(taint, &next)) {
            result.push(Taint {
                key: next.0.into(),
                effect: next.1.into(),
                time_added: Some(Time(now)),
                ..Taint::default()
            });
        }
    }
    (result != taints(node)).then_some(result)
}

fn is_ours(taint: &Taint) -> bool {
    let key = taint.key.as_str();
    match taint.effect.as_str() {
        "NoSchedule" => key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(.., known)| *known == key),
        "NoExecute" => key == NOT_READY || key == UNREACHABLE,
        _ => false,
    }
}
