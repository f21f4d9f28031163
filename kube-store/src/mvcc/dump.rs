//! Reading everything that a state has to keep, a piece at a time, while the state goes on.
//!
//! Nothing is copied for it but leases and records: versions do not change, new ones come after those to be read, and old
//! ones go only when they are swept. So a state must not be swept while a dump of it is read.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;

use super::{Change, State};
use crate::Revision;

/// A dump under way: of the state as it was when it was begun.
#[derive(Debug)]
pub(crate) struct Dump {
    /// All that has no revision.
    head: VecDeque<Change>,
    /// Where the log began.
    first: Revision,
    /// The newest revision to be read.
    last: Revision,
    next: Next,
}

/// What is read next.
#[derive(Debug)]
enum Next {
    /// The versions from before the log, of the keys after this one. There is at most one of each.
    Key(Option<Bytes>),
    /// An event of a revision.
    Event(Revision, usize),
}

impl Dump {
    /// Begins one.
    pub(crate) fn new(state: &State) -> Self {
        let mut head = VecDeque::from([Change::Format]);
        head.extend(state.leases.iter().map(|(id, ttl, left)| Change::Grant { id, ttl, left }));
        if state.compacted > 0 {
            head.push_back(Change::Compact { revision: state.compacted });
        }
        let record =
            |(key, value): (&Bytes, &Bytes)| Change::Record { key: key.clone(), value: Some(value.clone()) };
        head.extend(state.records.iter().map(record));
        Self { head, first: state.log.first(), last: state.head, next: Next::Key(None) }
    }

    /// The next piece, in an order that [`Loader`](super::Loader) takes; `None` at the end.
    pub(crate) fn next(&mut self, state: &State) -> Option<Change> {
        if let Some(change) = self.head.pop_front() {
            return Some(change);
        }
        if let Next::Key(after) = &mut self.next {
            let from = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_ref()));
            let mut histories = state.index.range::<[u8], _>((from, Bound::Unbounded));
            let found = histories.find_map(|(key, history)| Some((key, history.version_at(self.first - 1)?)));
            if let Some((key, version)) = found {
                *after = Some(key.clone());
                return Some(Change::Write { sub: version.sub, kv: version.kv.clone() });
            }
            self.next = Next::Event(self.first, 0);
        }
        self.next_event(state)
    }

    fn next_event(&mut self, state: &State) -> Option<Change> {
        let Next::Event(revision, number) = &mut self.next else { return None };
        while *revision <= self.last {
            let events = state.log.get(*revision)?;
            if let Some(event) = events.get(*number) {
                let sub = u32::try_from(*number).unwrap_or(u32::MAX);
                *number += 1;
                return Some(Change::Write { sub, kv: event.kv.clone() });
            }
            (*revision, *number) = (*revision + 1, 0);
        }
        None
    }
}

#[cfg(any(test, feature = "testing"))]
impl State {
    /// Everything that has to be durable for this state.
    pub(crate) fn dump(&self) -> Vec<Change> {
        let mut dump = Dump::new(self);
        std::iter::from_fn(|| dump.next(self)).collect()
    }
}
