//! Counting which event brought how many pods into which queue.

use std::collections::BTreeMap;

/// Pods that entered a queue for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// `active`, `backoff`, `unschedulable` or `gated`.
    pub queue: &'static str,
    /// The event, in upstream's words.
    pub cause: &'static str,
}

/// Arrivals since the last look; bounded by the number of queues and causes.
#[derive(Debug, Default)]
pub(super) struct Arrivals(BTreeMap<Arrival, u64>);

impl Arrivals {
    pub(super) fn count(&mut self, queue: &'static str, cause: &'static str) {
        *self.0.entry(Arrival { queue, cause }).or_default() += 1;
    }

    pub(super) fn take(&mut self) -> BTreeMap<Arrival, u64> {
        std::mem::take(&mut self.0)
    }
}
