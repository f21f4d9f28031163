//! A pod in the queue.

use std::cmp::Ordering;
use std::sync::Arc;

use tokio::time::Instant;

use crate::framework::Profile;
use crate::pod::PodInfo;

/// A pod on its way through the queue.
#[derive(Debug, Clone)]
pub struct QueuedPod {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// How often scheduling was attempted.
    pub attempts: u32,
    /// When it entered the queue for the first time, or its last gate was removed.
    pub added_at: Instant,
    /// When it entered the queue this time.
    pub queued_at: Instant,
    /// When its back-off ends.
    pub backoff_until: Instant,
    /// The plugins that refused it at the last attempt; empty after a failure.
    pub rejected_by: Vec<&'static str>,
}

/// A pod in the active heap. The heap's greatest element is the one that goes first.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) queued: QueuedPod,
    pub(super) ticket: u64,
    pub(super) profile: Arc<Profile>,
}

impl Ord for Active {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self
            .profile
            .as_queue_sort()
            .map_or(Ordering::Equal, |sort| sort.compare(&self.queued, &other.queued));
        order.then(self.ticket.cmp(&other.ticket)).reverse()
    }
}

impl PartialOrd for Active {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Active {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Active {}
