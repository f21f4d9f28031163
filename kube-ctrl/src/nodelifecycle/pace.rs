//! How fast pods may be driven from failing nodes.
//!
//! If every node of the cluster fails at once, it is more likely that we are cut off: nothing is evicted. If most of
//! a zone fails, a small cluster evicts nothing and a large one slowly.

use super::{health, taints};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use std::collections::HashMap;
use std::sync::Arc;

const ZONE: &str = "topology.kubernetes.io/zone";
/// One node per zone in this time.
const INTERVAL: SignedDuration = SignedDuration::from_secs(10);
/// One node per zone in this time when most of the zone is down.
const SLOW_INTERVAL: SignedDuration = SignedDuration::from_secs(100);
/// A zone counts as mostly down from this many failing nodes in a hundred, and more than two of them.
const MOSTLY: usize = 55;
/// Zones up to this size evict nothing when mostly down.
const SMALL: usize = 50;

/// What may happen to the pods of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// They may be driven away.
    Allowed,
    /// Not yet.
    Later,
    /// Nothing is to be driven away anywhere.
    Off,
}

/// When the next node of each zone may be drained.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: HashMap<String, Timestamp>,
}

fn zone(node: &Node) -> &str {
    node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE)).map(String::as_str).unwrap_or_default()
}

impl Pace {
    /// Whether this node may be drained now; counts as doing so if it needs it.
    pub(super) fn allow(&mut self, node: &Node, all: &[Arc<Node>], now: Timestamp) -> Eviction {
        if !all.iter().any(|node| health::is_ready(node)) {
            return Eviction::Off;
        }
        if taints::is_evicting(node) {
            return Eviction::Allowed;
        }
        let (mut size, mut failing) = (0, 0);
        for other in all.iter().filter(|other| zone(other) == zone(node)) {
            size += 1;
            failing += usize::from(!health::is_ready(other));
        }
        let mostly = failing > 2 && failing * 100 >= size * MOSTLY && failing < size;
        let interval = match mostly {
            true if size <= SMALL => return Eviction::Later,
            true => SLOW_INTERVAL,
            false => INTERVAL,
        };
        if self.next.get(zone(node)).is_some_and(|next| now < *next) {
            return Eviction::Later;
        }
        self.next.insert(zone(node).to_owned(), now.saturating_add(interval).unwrap_or(Timestamp::MAX));
        Eviction::Allowed
    }
}
