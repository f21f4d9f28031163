//! The events of every kept revision, in order.

use std::collections::VecDeque;

use crate::{Event, Revision};

/// A queue of transactions; revisions have no gaps, so finding one is an index.
#[derive(Debug)]
pub(crate) struct Log {
    first: Revision,
    entries: VecDeque<Box<[Event]>>,
}

impl Log {
    /// An empty log whose next entry is `first`.
    pub(crate) fn starting_at(first: Revision) -> Self {
        Self { first, entries: VecDeque::new() }
    }

    /// Revision of the oldest entry, or of the next one when there is none.
    pub(crate) fn first(&self) -> Revision {
        self.first
    }

    pub(crate) fn next(&self) -> Revision {
        self.first + self.entries.len() as Revision
    }

    pub(crate) fn push(&mut self, events: Box<[Event]>) {
        self.entries.push_back(events);
    }

    pub(crate) fn get(&self, revision: Revision) -> Option<&[Event]> {
        let at = usize::try_from(revision - self.first).ok()?;
        self.entries.get(at).map(AsRef::as_ref)
    }

    pub(super) fn get_mut(&mut self, revision: Revision) -> Option<&mut [Event]> {
        let at = usize::try_from(revision - self.first).ok()?;
        self.entries.get_mut(at).map(AsMut::as_mut)
    }

    pub(crate) fn pop(&mut self) -> Option<Box<[Event]>> {
        let events = self.entries.pop_front()?;
        self.first += 1;
        Some(events)
    }
}
