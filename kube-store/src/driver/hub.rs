//! Which watchers exist, and which of them has something to read.
//!
//! Watchers have no queues. Each has one number, the first revision that it has yet to report, and takes its events out of
//! the log that the state keeps anyway. So a slow watcher costs nothing until compaction passes it, and then it is cut.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::task::Waker;

use bytes::Bytes;

use crate::mvcc::State;
use crate::{Event, EventFilter, KeyRange, Revision, WatchRequest};

/// All watchers of a store.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    slots: HashMap<u64, Slot>,
    /// Watchers of a single key, found without looking at the others.
    by_key: HashMap<Bytes, BTreeSet<u64>>,
    /// Watchers of more than one key.
    ranges: BTreeSet<u64>,
    /// Those asked for a progress report before there is anything that they want to hear of, by their start.
    early: BTreeSet<(Revision, u64)>,
    next_id: u64,
    closed: bool,
}

/// One watcher.
#[derive(Debug)]
struct Slot {
    range: KeyRange,
    filter: EventFilter,
    /// First revision that it wants at all.
    start: Revision,
    /// First matching revision that it has not taken.
    pending: Option<Revision>,
    progress: bool,
    progress_notify: bool,
    waker: Option<Waker>,
}

/// What a watcher finds when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing; it will be woken.
    Nothing,
    /// Events from this revision on.
    Events(Revision),
    /// A progress report.
    Progress,
    /// The store is gone.
    Closed,
}

impl Slot {
    fn wants(&self, event: &Event) -> bool {
        event.kv.mod_revision >= self.start && self.filter.admits(event.kind)
    }

    fn mark(&mut self, revision: Revision, woken: &mut Vec<Waker>) {
        self.pending.get_or_insert(revision);
        woken.extend(self.waker.take());
    }
}

impl Hub {
    /// Adds a watcher that starts at `start`, when `visible` is the newest revision.
    pub(crate) fn add(&mut self, request: &WatchRequest, start: Revision, visible: Revision) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        match &request.range {
            KeyRange::Key(key) => self.by_key.entry(key.clone()).or_default().insert(id),
            _ => self.ranges.insert(id),
        };
        let slot = Slot {
            range: request.range.clone(),
            filter: request.filter,
            start,
            pending: (start <= visible).then_some(start),
            progress: false,
            progress_notify: request.progress_notify,
            waker: None,
        };
        self.slots.insert(id, slot);
        id
    }

    pub(crate) fn remove(&mut self, id: u64) {
        let Some(slot) = self.slots.remove(&id) else { return };
        self.ranges.remove(&id);
        self.early.remove(&(slot.start, id));
        if let KeyRange::Key(key) = &slot.range
            && let Some(ids) = self.by_key.get_mut(key)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    pub(crate) fn watchers(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Marks the watchers that these revisions concern; answers the wakers of those that sleep.
    pub(crate) fn publish(&mut self, state: &State, revisions: RangeInclusive<Revision>) -> Vec<Waker> {
        let mut woken = Vec::new();
        if self.slots.is_empty() {
            return woken;
        }
        while let Some((start, id)) = self.early.first().copied()
            && start <= revisions.end() + 1
        {
            self.early.pop_first();
            woken.extend(self.slots.get_mut(&id).and_then(|slot| slot.waker.take()));
        }
        for revision in revisions {
            for event in state.events(revision).unwrap_or_default() {
                let by_key = self.by_key.get(&event.kv.key).into_iter().flatten();
                for id in by_key.chain(&self.ranges) {
                    if let Some(slot) = self.slots.get_mut(id)
                        && slot.wants(event)
                        && slot.range.contains(&event.kv.key)
                    {
                        slot.mark(revision, &mut woken);
                    }
                }
            }
        }
        woken
    }

    /// Takes what the watcher has to report when `visible` is the newest revision, or remembers whom to wake.
    pub(crate) fn take(&mut self, id: u64, waker: &Waker, visible: Revision) -> Due {
        let Some(slot) = self.slots.get_mut(&id) else { return Due::Closed };
        if let Some(from) = slot.pending.take() {
            return Due::Events(from);
        }
        if self.closed {
            return Due::Closed;
        }
        if slot.progress {
            if slot.start <= visible + 1 {
                slot.progress = false;
                return Due::Progress;
            }
            // A report of now would lead its reader back to before where it began.
            self.early.insert((slot.start, id));
        }
        slot.waker = Some(waker.clone());
        Due::Nothing
    }

    /// Puts back what the watcher did not take.
    pub(crate) fn put_back(&mut self, id: u64, from: Revision) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.pending = Some(from);
        }
    }

    /// Asks one watcher for a progress report.
    pub(crate) fn ask_progress(&mut self, id: u64) -> Option<Waker> {
        let slot = self.slots.get_mut(&id)?;
        slot.progress = true;
        slot.waker.take()
    }

    /// Asks all watchers for a progress report that want them; answers `None` when there is none.
    pub(crate) fn ask_all_progress(&mut self) -> Option<Vec<Waker>> {
        let mut any = false;
        let mut woken = Vec::new();
        for slot in self.slots.values_mut().filter(|slot| slot.progress_notify) {
            any = true;
            slot.progress = true;
            woken.extend(slot.waker.take());
        }
        any.then_some(woken)
    }

    /// Whether any watcher wants progress reports.
    pub(crate) fn wants_progress(&self) -> bool {
        self.slots.values().any(|slot| slot.progress_notify)
    }

    /// Lets every watcher look again from `revision` on, where history may have a gap.
    #[cfg(feature = "raft")]
    pub(crate) fn rewind(&mut self, revision: Revision) -> Vec<Waker> {
        let mut woken = Vec::new();
        self.slots.values_mut().for_each(|slot| slot.mark(revision.max(slot.start), &mut woken));
        woken
    }

    /// Ends all watches once they have taken what is pending.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.slots.values_mut().filter_map(|slot| slot.waker.take()).for_each(Waker::wake);
    }
}
