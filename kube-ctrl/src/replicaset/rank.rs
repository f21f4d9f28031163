//! Which pods a set parts with first.

use crate::pods;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Everything pods are compared by; the smallest goes first.
///
/// Ages are compared by order of magnitude (base 2) and then by uid, so that a scale-down does not always hit the
/// newest pods, which may all be in one zone.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    bound: bool,
    phase: u8,
    ready: bool,
    cost: i64,
    crowd: Reverse<usize>,
    ready_age: Option<Age>,
    restarts: Reverse<i32>,
    age: Option<Age>,
    uid: String,
}

/// An age in powers of two nanoseconds, younger first.
type Age = u32;

fn magnitude(since: Option<Timestamp>, now: Timestamp) -> Option<Age> {
    let nanoseconds = now.duration_since(since?).as_nanos();
    Some(u128::try_from(nanoseconds).ok().and_then(u128::checked_ilog2).unwrap_or(0))
}

fn rank(pod: &Pod, crowd: &HashMap<String, usize>, now: Timestamp) -> Rank {
    let node = pods::node(pod);
    let annotations = pod.metadata.annotations.as_ref();
    let cost = annotations.and_then(|annotations| annotations.get(DELETION_COST)?.parse::<i32>().ok());
    let statuses = pod.status.iter().flat_map(|status| {
        status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten())
    });
    Rank {
        bound: !node.is_empty(),
        phase: match pods::phase(pod) {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        },
        ready: pods::is_ready(pod),
        cost: cost.unwrap_or(0).into(),
        crowd: Reverse(if node.is_empty() { 0 } else { crowd.get(node).copied().unwrap_or(0) }),
        ready_age: magnitude(pods::ready_since(pod), now),
        restarts: Reverse(statuses.map(|status| status.restart_count).max().unwrap_or(0)),
        age: magnitude(pod.metadata.creation_timestamp.as_ref().map(|time| time.0), now),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    }
}

/// The `count` pods that are least worth keeping.
pub(super) fn least_wanted(
    pods: Vec<Arc<Pod>>,
    crowd: &HashMap<String, usize>,
    count: usize,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    let mut ranked: Vec<(Rank, Arc<Pod>)> =
        pods.into_iter().map(|pod| (rank(&pod, crowd, now), pod)).collect();
    ranked.sort_by(|(a, _), (b, _)| -> Ordering { a.cmp(b) });
    ranked.into_iter().take(count).map(|(_, pod)| pod).collect()
}
