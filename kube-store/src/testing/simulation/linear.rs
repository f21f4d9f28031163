//! Whether what clients saw of one key could have happened one operation after the other (Wing and Gong's search).

use std::collections::HashSet;

use bytes::Bytes;

use crate::Revision;

/// A key: revision of its last change, and value; `None` when it does not exist.
pub(super) type Value = Option<(Revision, Bytes)>;

/// What an operation did to the key, as far as the client knows, or as the one history tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// It saw the key so.
    Saw(Value),
    /// It wrote, whatever was there.
    Wrote(Revision, Bytes),
    /// It wrote, and the key had been changed last at the first revision, 0 for not existing.
    Swapped(Revision, Revision, Bytes),
    /// It did not write, for the key had not been changed last at this revision.
    Differed(Revision),
    /// It deleted the key, which existed.
    Deleted(Revision),
    /// It deleted nothing, for the key did not exist.
    Absent,
}

/// An operation and when it ran.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) start: u64,
    /// `u64::MAX` when it was never answered.
    pub(super) end: u64,
    pub(super) effect: Effect,
}

/// A key at some moment: when it was written or deleted last, and its value if it exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct State {
    changed: Revision,
    value: Option<Bytes>,
}

impl State {
    /// The revision that clients see, 0 when the key does not exist.
    fn seen(&self) -> Revision {
        if self.value.is_some() { self.changed } else { 0 }
    }

    /// The key after the operation, if it can come now. Revisions rise.
    fn after(&self, effect: &Effect) -> Option<Self> {
        let change = |changed: Revision, value: Option<&Bytes>| {
            (changed > self.changed).then(|| Self { changed, value: value.cloned() })
        };
        let stay = |fits: bool| fits.then(|| self.clone());
        match effect {
            Effect::Saw(Some((revision, value))) => {
                stay(self.changed == *revision && self.value.as_ref() == Some(value))
            }
            Effect::Saw(None) | Effect::Absent => stay(self.value.is_none()),
            Effect::Differed(believed) => stay(*believed != self.seen()),
            Effect::Wrote(revision, value) => change(*revision, Some(value)),
            Effect::Swapped(old, revision, value) if *old == self.seen() => change(*revision, Some(value)),
            Effect::Swapped(..) => None,
            Effect::Deleted(revision) => self.value.as_ref().and_then(|_| change(*revision, None)),
        }
    }
}

/// Whether there is an order of the calls in which each could have come out as it did, and none comes before one that had
/// ended when it began.
pub(super) fn is_linearizable(calls: &[Call]) -> bool {
    let mut tried = HashSet::new();
    let mut stack = vec![(vec![false; calls.len()], State::default())];
    while let Some((done, state)) = stack.pop() {
        let left = || calls.iter().enumerate().filter(|(at, _)| done.get(*at) == Some(&false));
        let first_end = left().map(|(_, call)| call.end).min().unwrap_or(u64::MAX);
        if first_end == u64::MAX {
            return true;
        }
        let mut next: Vec<(usize, State)> = left()
            .filter(|(_, call)| call.start <= first_end)
            .filter_map(|(at, call)| state.after(&call.effect).map(|after| (at, after)))
            .collect();
        // What changes nothing and can come now may as well come now.
        if let Some(free) = next.iter().position(|(_, after)| *after == state) {
            next = vec![next.swap_remove(free)];
        }
        for (at, after) in next {
            let mut done = done.clone();
            if let Some(flag) = done.get_mut(at) {
                *flag = true;
            }
            if tried.insert((done.clone(), after.clone())) {
                stack.push((done, after));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(start: u64, end: u64, effect: Effect) -> Call {
        Call { start, end, effect }
    }

    fn saw(revision: Revision) -> Effect {
        Effect::Saw(Some((revision, Bytes::from(revision.to_string()))))
    }

    fn wrote(revision: Revision) -> Effect {
        Effect::Wrote(revision, Bytes::from(revision.to_string()))
    }

    #[test]
    fn knows_good_from_bad() {
        let cases = [
            ("a read after a write", vec![call(0, 1, wrote(2)), call(2, 3, saw(2))], true),
            ("a read during a write", vec![call(0, 9, wrote(2)), call(1, 2, Effect::Saw(None))], true),
            ("a stale read", vec![call(0, 1, wrote(2)), call(2, 3, wrote(3)), call(4, 5, saw(2))], false),
            (
                "a read back in time",
                vec![call(0, 9, wrote(2)), call(1, 2, saw(2)), call(3, 4, Effect::Saw(None))],
                false,
            ),
            ("a lost write", vec![call(0, 1, wrote(2)), call(2, 3, Effect::Saw(None))], false),
            (
                "a late delete",
                vec![
                    call(0, 1, wrote(2)),
                    call(0, u64::MAX, Effect::Deleted(3)),
                    call(5, 6, Effect::Saw(None)),
                ],
                true,
            ),
            (
                "two swaps of one",
                vec![
                    call(0, 9, Effect::Swapped(0, 2, "2".into())),
                    call(0, 9, Effect::Swapped(0, 3, "3".into())),
                ],
                false,
            ),
        ];
        for (name, calls, good) in cases {
            assert_eq!(is_linearizable(&calls), good, "{name}");
        }
    }
}
