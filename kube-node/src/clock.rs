//! Wall-clock time that follows tokio's clock.

use jiff::Timestamp;
use tokio::time::Instant;

/// The time of day, anchored to tokio's clock, so that a test that pauses and advances time moves it too. Cheap to clone.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    anchor: Instant,
}

impl Clock {
    /// A clock that shows `wall` now.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, anchor: Instant::now() }
    }

    /// A clock that shows the machine's time, read once. It does not follow later adjustments of the machine's clock.
    pub fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let passed = jiff::SignedDuration::try_from(self.anchor.elapsed()).unwrap_or_default();
        self.wall.checked_add(passed).unwrap_or(self.wall)
    }

    /// When `at` will be or was on tokio's clock; a time before the clock began is its beginning.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let after = at.duration_since(self.wall);
        std::time::Duration::try_from(after).map_or(self.anchor, |d| self.anchor + d)
    }
}
