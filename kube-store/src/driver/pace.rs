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
    /// Whether this thread may block for as long as a commit takes: handing over to another thread and back takes as long as
    /// a sync of a fast disk does. Not where it is the only one that runs tasks, and so never when time is paused.
    pub(crate) fn is_short(&self) -> bool {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)) < SHORT
            && Handle::try_current().is_ok_and(|runtime| {
                runtime.runtime_flavor() == RuntimeFlavor::MultiThread && runtime.metrics().num_workers() > 1
            })
    }

    /// Takes the length of a commit into the mean.
    pub(crate) fn note(&self, took: Duration) {
        let (mean, took) =
            (self.0.load(Ordering::Relaxed), u64::try_from(took.as_nanos()).unwrap_or(UNKNOWN));
        self.0.store(mean - mean / 8 + took / 8, Ordering::Relaxed);
    }
}
