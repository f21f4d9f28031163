//! The pure part: objects, ring, watchers.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use kube_store::Revision;
use tokio::sync::mpsc;

use super::entry::{Change, ChangeKind, Entry, Filter};
use super::watcher::{Delivery, Watcher};
use crate::error::{Error, Result};

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the objects there are.
    Current,
    /// After this revision.
    After(Revision),
    /// With what comes next.
    Now,
}

#[derive(Debug)]
struct Listener {
    filter: Arc<Filter>,
    sender: mpsc::Sender<Delivery>,
    bookmarks: bool,
    after: Revision,
}

/// The objects of one kind at a revision, and how they came to be.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) revision: Revision,
    objects: BTreeMap<Bytes, Arc<Entry>>,
    ring: VecDeque<Change>,
    ring_bytes: usize,
    /// Changes up to this one are forgotten.
    forgotten: Revision,
    listeners: Vec<Listener>,
}

impl State {
    /// Begins anew from a list; whoever watched is cut, since changes may have been missed.
    pub(super) fn reset(&mut self, revision: Revision, entries: impl IntoIterator<Item = Entry>) {
        self.objects = entries.into_iter().map(|e| (e.key.clone(), Arc::new(e))).collect();
        self.ring.clear();
        self.ring_bytes = 0;
        self.listeners.clear();
        (self.revision, self.forgotten) = (revision, revision);
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Arc<Entry>> {
        self.objects.get(key)
    }

    pub(super) fn apply(&mut self, change: Change, budget: usize) {
        match change.kind {
            ChangeKind::Deleted => self.objects.remove(&change.entry.key),
            _ => self.objects.insert(change.entry.key.clone(), Arc::clone(&change.entry)),
        };
        self.revision = change.revision;
        self.listeners.retain(|l| l.offer(&change));
        self.ring_bytes += change.entry.size();
        self.ring.push_back(change);
        while self.ring_bytes > budget && self.ring.len() > 1 {
            let Some(old) = self.ring.pop_front() else { break };
            self.ring_bytes = self.ring_bytes.saturating_sub(old.entry.size());
            self.forgotten = old.revision;
        }
    }

    /// Everything up to this revision is known.
    pub(super) fn progress(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
    }

    /// Tells the watchers that asked for it how far they are.
    pub(super) fn bookmark(&mut self) {
        let revision = self.revision;
        self.listeners.retain(|l| {
            let due = l.bookmarks && revision > l.after;
            !l.sender.is_closed() && (!due || l.sender.try_send(Delivery::Bookmark(revision)).is_ok())
        });
    }

    /// The objects that match, after a key, up to a limit; and whether there are more. The count of the rest is exact
    /// only for filters without selectors.
    pub(super) fn list(&self, filter: &Filter, limit: usize) -> (Vec<Arc<Entry>>, usize) {
        let from = (Bound::Included(filter.prefix.clone()), Bound::Unbounded);
        let range = self.objects.range::<Bytes, _>(from).map(|(_, e)| e);
        let mut matching =
            range.take_while(|e| e.key.starts_with(&filter.prefix)).filter(|e| filter.matches(e));
        if limit == 0 {
            return (matching.cloned().collect(), 0);
        }
        let page: Vec<_> = matching.by_ref().take(limit).cloned().collect();
        (page, matching.count())
    }

    pub(super) fn watch(
        &mut self,
        filter: Filter,
        start: Start,
        bookmarks: bool,
        queue: usize,
    ) -> Result<Watcher> {
        let filter = Arc::new(filter);
        let (initial, after) = match start {
            Start::Current => {
                let (entries, _) = self.list(&filter, 0);
                (entries.into_iter().map(|e| Delivery::Change(ChangeKind::Added, e)).collect(), self.revision)
            }
            Start::Now => (VecDeque::new(), self.revision),
            Start::After(revision) if revision < self.forgotten => {
                let (asked, oldest) = (revision, self.forgotten);
                return Err(Error::Expired(format!("too old resource version: {asked} ({oldest})")));
            }
            Start::After(revision) => {
                let missed = self.ring.iter().filter(|c| c.revision > revision);
                let missed = missed.filter_map(|c| filter.deliver(c)).map(|(k, e)| Delivery::Change(k, e));
                (missed.collect(), revision.max(self.revision))
            }
        };
        let (sender, receiver) = mpsc::channel(queue);
        self.listeners.push(Listener { filter, sender, bookmarks, after });
        Ok(Watcher::new(self.revision, initial, receiver))
    }
}

impl Listener {
    /// Hands over a change that it wants; `false` when it is gone or does not keep up.
    fn offer(&self, change: &Change) -> bool {
        if change.revision <= self.after {
            return !self.sender.is_closed();
        }
        match self.filter.deliver(change) {
            Some((kind, entry)) => self.sender.try_send(Delivery::Change(kind, entry)).is_ok(),
            None => !self.sender.is_closed(),
        }
    }
}
