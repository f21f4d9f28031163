//! Wall-clock time that follows tokio's clock.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A wall clock anchored to tokio's clock, so that a test that pauses time moves this clock too. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Timestamp,
    at: Instant,
}

impl Clock {
    /// A clock that reads `anchor` now and advances with [`tokio::time`].
    pub fn anchored(anchor: Timestamp) -> Self {
        Self { anchor, at: Instant::now() }
    }

    /// A clock that starts at the machine's time.
    pub fn system() -> Self {
        Self::anchored(Timestamp::now())
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or(SignedDuration::MAX);
        self.anchor.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}
