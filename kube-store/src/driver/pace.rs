//! How long commits take, and whether a task may do one itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

/// A commit that takes longer than this is none for a task.
const SHORT: Duration = Duration::from_micros(250);
/// What is believed before anything is known: long, so that a slow disk never holds up a task.
const UNKNOWN: u64 = u64::MAX / 8;

/// A mean of the last commits, in nanoseconds. Whoever commits notes how long it took; nobody does so at the same time.
#[derive(Debug)]
pub(crate) struct Pace(AtomicU64);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicU64::new(UNKNOWN))
    }
}

impl Pace {
    /// Whether this thread may block for as long as a commit takes, as one of `workers` or more: handing over to another thread
    /// and back takes as long as a sync of a fast disk does. Not on a runtime that is its caller's own thread, so never when time is
    /// paused.
    pub(crate) fn is_short(&self, workers: usize) -> bool {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)) < SHORT
            && Handle::try_current().is_ok_and(|runtime| {
                runtime.runtime_flavor() == RuntimeFlavor::MultiThread
                    && runtime.metrics().num_workers() >= workers
            })
    }

    /// Takes the length of a commit into the mean.
    pub(crate) fn note(&self, took: Duration) {
        let (mean, took) =
            (self.0.load(Ordering::Relaxed), u64::try_from(took.as_nanos()).unwrap_or(UNKNOWN));
        self.0.store(mean - mean / 8 + took / 8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Pace {
        let pace = Pace::default();
        (0..1000).for_each(|_| pace.note(SHORT / 2));
        pace
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_worker_blocks_for_short_commits_only() {
        // Tasks run on the worker, while this test does not.
        let asked = tokio::spawn(async {
            let pace = quick();
            let quick = (pace.is_short(1), pace.is_short(2));
            (0..50).for_each(|_| pace.note(SHORT * 2));
            (quick, pace.is_short(1), Pace::default().is_short(1))
        });
        assert_eq!(asked.await.unwrap(), ((true, false), false, false));
    }

    #[tokio::test]
    async fn the_callers_own_thread_does_not_block() {
        assert!(!quick().is_short(1));
    }
}
