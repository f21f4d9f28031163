//! Signs of life.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use std::time::Duration;

/// A node that has never reported gets this long from its creation.
const STARTUP_GRACE: Duration = Duration::from_secs(60);
/// The conditions nobody vouches for when a node is silent.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The last heartbeats seen, and when they were seen on our own clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Probe {
    lease: Option<MicroTime>,
    status: Option<Time>,
    pub(super) at: Timestamp,
}

/// The condition of a type.
pub(super) fn condition<'a>(node: &'a Node, type_: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

/// The status of a condition, none if the node has never reported it.
pub(super) fn status<'a>(node: &'a Node, type_: &str) -> Option<&'a str> {
    condition(node, type_).map(|condition| condition.status.as_str())
}

/// Whether the node is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    status(node, "Ready") == Some("True")
}

/// Notes new heartbeats: a renewed lease or a reported status.
pub(super) fn probe(known: Option<&Probe>, node: &Node, lease: Option<&Lease>, now: Timestamp) -> Probe {
    let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.clone());
    // What we wrote ourselves when the node fell silent carries no newer heartbeat.
    let reported = condition(node, "Ready").and_then(|ready| ready.last_heartbeat_time.clone());
    let fresh = |at| Probe { lease: renewed.clone(), status: reported.clone(), at };
    match known {
        Some(known) if known.lease == renewed && known.status == reported => known.clone(),
        None if reported.is_none() && renewed.is_none() => {
            fresh(node.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0))
        }
        _ => fresh(now),
    }
}

/// Whether a node has been silent for too long.
pub(super) fn is_silent(node: &Node, probe: &Probe, grace: Duration, now: Timestamp) -> bool {
    let grace = if condition(node, "Ready").is_none() { STARTUP_GRACE.max(grace) } else { grace };
    let limit = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    now.duration_since(probe.at) > limit
}

/// The node with its conditions set to unknown; none if they are already.
pub(super) fn silenced(node: &Node, now: Timestamp) -> Option<Node> {
    let mut silent = node.clone();
    let conditions = silent.status.get_or_insert_default().conditions.get_or_insert_default();
    for type_ in CONDITIONS {
        match conditions.iter_mut().find(|known| known.type_ == type_) {
            Some(known) if known.status == "Unknown" => {}
            Some(known) => {
                known.status = "Unknown".into();
                known.reason = Some("NodeStatusUnknown".into());
                known.message = Some("Kubelet stopped posting node status.".into());
                known.last_transition_time = Some(Time(now));
            }
            None => conditions.push(NodeCondition {
                type_: type_.into(),
                status: "Unknown".into(),
                reason: Some("NodeStatusNeverUpdated".into()),
                message: Some("Kubelet never posted node status.".into()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(Time(now)),
            }),
        }
    }
    (silent != *node).then_some(silent)
}
