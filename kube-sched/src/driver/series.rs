//! Repeated events become one event with a count.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// Series remembered at a time; beyond, all are forgotten and begin anew.
const MAX_SERIES: usize = 4096;
/// A series ends when its event has not been seen for so long, as upstream.
const SERIES_LIFETIME: SignedDuration = SignedDuration::from_mins(6);

/// What makes two events the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SeriesKey {
    pub(super) uid: Arc<str>,
    pub(super) reason: &'static str,
    pub(super) note: String,
}

/// What to do with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Occurrence {
    /// Create it under this name.
    First { name: String },
    /// Set the count of the event of this name.
    Again { name: String, count: i32 },
}

#[derive(Debug)]
struct Seen {
    name: String,
    count: i32,
    last: Timestamp,
}

/// The events recorded lately.
#[derive(Debug, Default)]
pub(super) struct Series {
    seen: HashMap<SeriesKey, Seen>,
}

impl Series {
    /// Counts an event about the pod called `pod`.
    pub(super) fn count(&mut self, key: SeriesKey, pod: &str, now: Timestamp) -> Occurrence {
        let alive = |seen: &Seen| now.duration_since(seen.last) < SERIES_LIFETIME;
        if let Some(seen) = self.seen.get_mut(&key).filter(|seen| alive(seen)) {
            seen.count = seen.count.saturating_add(1);
            seen.last = now;
            return Occurrence::Again { name: seen.name.clone(), count: seen.count };
        }
        if self.seen.len() >= MAX_SERIES {
            self.seen.retain(|_, seen| alive(seen));
        }
        if self.seen.len() >= MAX_SERIES {
            self.seen.clear();
        }
        // Upstream's names: the object's name and the time in hexadecimal nanoseconds.
        let name = format!("{pod}.{:x}", now.as_nanosecond());
        self.seen.insert(key, Seen { name: name.clone(), count: 1, last: now });
        Occurrence::First { name }
    }

    /// Forgets a series whose event could not be written.
    pub(super) fn forget(&mut self, key: &SeriesKey) {
        self.seen.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> SeriesKey {
        SeriesKey { uid: number.to_string().into(), reason: "FailedScheduling", note: "no".into() }
    }

    #[test]
    fn repetitions_are_counted_until_the_series_ends() {
        let mut series = Series::default();
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let Occurrence::First { name } = series.count(key(1), "p", at(1)) else { panic!("first") };
        assert_eq!(name, "p.df8475800");
        assert_eq!(series.count(key(1), "p", at(5)), Occurrence::Again { name: name.clone(), count: 2 });
        assert_eq!(series.count(key(1), "p", at(10)), Occurrence::Again { name, count: 3 });
        assert!(matches!(series.count(key(2), "p", at(10)), Occurrence::First { .. }));
        assert!(matches!(series.count(key(1), "p", at(16)), Occurrence::First { .. }), "ended");
    }

    #[test]
    fn memory_is_bounded() {
        let mut series = Series::default();
        for number in 0..3 * MAX_SERIES {
            series.count(key(number), "p", Timestamp::UNIX_EPOCH);
            assert!(series.seen.len() <= MAX_SERIES);
        }
    }
}
