//! Wall-clock timestamps that follow tokio's clock.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A wall clock anchored to tokio's clock, so that paused time moves it too.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    timestamp: Timestamp,
    instant: Instant,
}

impl Clock {
    /// A clock that reads `timestamp` at the current tokio instant.
    #[must_use]
    pub fn starting_at(timestamp: Timestamp) -> Self {
        Self { timestamp, instant: Instant::now() }
    }

    /// A clock that reads the machine's time now.
    #[must_use]
    pub fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// The current timestamp.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.instant.elapsed()).unwrap_or(SignedDuration::MAX);
        self.timestamp.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}
