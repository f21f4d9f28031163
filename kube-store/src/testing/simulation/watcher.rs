//! Watchers that move from member to member and must be able to tell the state from what they see.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::rule::{Checked, Rule};
use crate::mvcc::State;
use crate::{Event, EventKind, KeyValue, Revision};

/// One watcher of everything, with previous values.
#[derive(Debug)]
pub(super) struct Watcher {
    /// Member it is attached to.
    pub(super) at: u64,
    next: Revision,
    /// What follows from the events seen; `None` after a gap that it was told of.
    state: Option<BTreeMap<Bytes, KeyValue>>,
}

impl Watcher {
    pub(super) fn new(at: u64) -> Self {
        Self { at, next: 2, state: Some(BTreeMap::new()) }
    }

    /// Reads what is there. Every revision comes once and in order, whole, with the previous value that was seen before.
    pub(super) fn pull(&mut self, state: &State) -> Checked {
        if self.next < state.compacted() {
            self.next = state.compacted();
            self.state = None;
        }
        while self.next <= state.visible() {
            let revision = self.next;
            let events = state.events(revision).unwrap_or_default();
            if events.is_empty() {
                return Rule::WatchGap
                    .broken(format!("member {}: a watch misses revision {revision}", self.at));
            }
            for event in events {
                // What the first kept revision replaced is compacted, and may be gone after a restart.
                if event.prev.is_none() && revision <= state.compacted() {
                    self.state = None;
                }
                self.see(revision, event)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn see(&mut self, revision: Revision, event: &Event) -> Checked {
        let at = self.at;
        let wrong = |what: &str| {
            Rule::WatchContent.broken(format!("member {at}: revision {revision} in a watch has {what}"))
        };
        if event.kv.mod_revision != revision {
            return wrong("an event of another");
        }
        let Some(known) = &mut self.state else { return Ok(()) };
        if known.get(&event.kv.key) != event.prev.as_ref() {
            return wrong("another previous value");
        }
        let is_create = event.kind == EventKind::Put && event.kv.create_revision == revision;
        if is_create != (event.kind == EventKind::Put && event.prev.is_none()) {
            return wrong("a wrong idea of what it creates");
        }
        match event.kind {
            EventKind::Put => known.insert(event.kv.key.clone(), event.kv.clone()),
            EventKind::Delete => known.remove(&event.kv.key),
        };
        Ok(())
    }
}
