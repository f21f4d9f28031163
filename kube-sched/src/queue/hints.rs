//! Asking for hints, and timing some of them.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;

use crate::framework::{ClusterEvent, Hint};
use crate::metrics::Metrics;

/// One hint in so many is timed: most cost less than reading the clock twice.
const SAMPLE: u32 = 10;

/// Times hints, if there is somebody to tell.
#[derive(Debug, Default)]
pub(super) struct HintTimer {
    metrics: Option<Metrics>,
    asked: AtomicU32,
}

impl HintTimer {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), asked: AtomicU32::default() }
    }

    /// The hint of a plugin about an event.
    pub(super) fn time(
        &self,
        plugin: &'static str,
        event: &ClusterEvent,
        hint: impl FnOnce() -> Hint,
    ) -> Hint {
        let Some(metrics) = &self.metrics else { return hint() };
        // The queue has one user at a time: nothing is lost between the two, which are cheaper than an addition in one.
        let asked = self.asked.load(Ordering::Relaxed);
        self.asked.store(asked.wrapping_add(1), Ordering::Relaxed);
        if !asked.is_multiple_of(SAMPLE) {
            return hint();
        }
        let start = Instant::now();
        let given = hint();
        metrics.hinted(plugin, event.label(), given, start.elapsed());
        given
    }
}
