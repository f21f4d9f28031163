//! Back-off between attempts: 10 s, doubling to 300 s, forgotten after twice that.

use jiff::{SignedDuration, Timestamp};

const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LONGEST: SignedDuration = SignedDuration::from_secs(300);
/// An entry that was not used for this long is forgotten.
const FORGET: SignedDuration = SignedDuration::from_secs(600);

/// The back-off of one thing that keeps failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) delay: SignedDuration,
    pub(crate) updated: Timestamp,
}

impl Backoff {
    /// Until when to wait after a failure at `failed`, or `None` when a new attempt may be made at once.
    pub(crate) fn until(entry: Option<&Self>, failed: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let entry = entry.filter(|e| failed.duration_since(e.updated) <= FORGET)?;
        let until = failed + entry.delay;
        (now < until).then_some(until)
    }

    /// The entry after another attempt at `now`.
    pub(crate) fn next(entry: Option<&Self>, now: Timestamp) -> Self {
        let delay = match entry.filter(|e| now.duration_since(e.updated) <= FORGET) {
            None => FIRST,
            Some(entry) => (entry.delay * 2).min(LONGEST),
        };
        Self { delay, updated: now }
    }
}

/// How a delay reads in messages: `10s`, `1m20s`, `5m0s`.
pub(crate) fn in_words(delay: SignedDuration) -> String {
    let seconds = delay.as_secs();
    match seconds / 60 {
        0 => format!("{seconds}s"),
        minutes => format!("{minutes}m{}s", seconds % 60),
    }
}
