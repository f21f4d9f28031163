//! Times and bounds of the queue.

use std::time::Duration;

use crate::Error;

/// Configuration of a [`SchedulingQueue`](super::SchedulingQueue).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// Back-off after the first failed attempt; doubles with each further one. Default 1 s.
    pub initial_backoff: Duration,
    /// Longest back-off. Default 10 s.
    pub max_backoff: Duration,
    /// How long a pod may stay in the unschedulable pool before it is tried again anyway. Default 5 min.
    pub max_unschedulable: Duration,
    /// How many events are remembered for pods in flight; a pod that misses some is retried. Default 10,000.
    pub max_events: usize,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            max_unschedulable: Duration::from_secs(300),
            max_events: 10_000,
        }
    }
}

impl QueueConfig {
    /// Whether the times make sense.
    ///
    /// # Errors
    /// [`Error::Config`] when a time is zero or the back-off's maximum lies below its beginning.
    pub fn validate(&self) -> Result<(), Error> {
        if self.initial_backoff.is_zero()
            || self.max_backoff < self.initial_backoff
            || self.max_unschedulable.is_zero()
        {
            return Err(Error::Config(
                "queue times must be positive, and the longest back-off at least the initial one".to_owned(),
            ));
        }
        Ok(())
    }

    /// The back-off after so many attempts.
    #[must_use]
    pub fn backoff(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial_backoff.saturating_mul(factor).min(self.max_backoff)
    }
}
