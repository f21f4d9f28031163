//! Higher priority first, then first come first served.

use std::cmp::Ordering;

use crate::framework::{Plugin, QueueSort};
use crate::queue::QueuedPod;

/// The default order of the queue.
#[derive(Debug, Clone, Copy)]
pub struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }

    crate::takes_part!(QueueSort);
}

impl QueueSort for PrioritySort {
    fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> Ordering {
        b.pod.priority.cmp(&a.pod.priority).then(a.queued_at.cmp(&b.queued_at))
    }
}
