//! Wall-clock time that follows tokio's clock, so that pausing tokio's time pauses it too.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A wall clock. Cheap to clone.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Timestamp,
    anchor: Instant,
}

impl Clock {
    /// A clock that shows `now` at this moment.
    pub fn starting_at(now: Timestamp) -> Self {
        Self { start: now, anchor: Instant::now() }
    }

    /// A clock set by the system's.
    pub fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.anchor.elapsed()).unwrap_or(SignedDuration::MAX);
        self.start.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// Now and a bit more, in whole seconds as objects carry it.
    pub fn rfc3339_after(&self, later: Duration) -> String {
        let seconds = self.now().as_second().saturating_add_unsigned(later.as_secs());
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
    }

    /// Now, in whole seconds as objects carry it: `2026-01-02T03:04:05Z`.
    pub fn rfc3339(&self) -> String {
        self.rfc3339_after(Duration::ZERO)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}
