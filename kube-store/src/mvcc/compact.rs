//! Forgetting history.

use super::history::History;
use super::{Change, State};
use crate::{Error, Event, Result, Revision};

impl State {
    /// Moves the start of history to `revision`. What lies before cannot be read from now on; [`State::sweep`] frees it.
    pub(crate) fn compact(&mut self, revision: Revision) -> Result<()> {
        if revision <= self.compacted {
            return Err(Error::Compacted { compacted: self.compacted });
        }
        if revision > self.visible {
            return Err(Error::FutureRevision { requested: revision, current: self.visible });
        }
        self.compacted = revision;
        self.note(Change::Compact { revision });
        Ok(())
    }

    /// Frees up to `budget` revisions of what compaction made unreachable; answers whether all is done. The log names every
    /// key that was changed since the last compaction, so the work grows with the changes and not with the keys.
    pub(crate) fn sweep(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            if self.log.first() >= self.compacted {
                // What the revision itself replaced is unreachable too, but its events are still watched.
                let events = self.log.get(self.compacted).map(Box::from).unwrap_or_default();
                self.sweep_keys(&events);
                return true;
            }
            match self.log.pop() {
                Some(events) => self.sweep_keys(&events),
                None => return true,
            }
        }
        false
    }

    fn sweep_keys(&mut self, events: &[Event]) {
        for event in events {
            let Some(history) = self.index.get_mut(&event.kv.key) else { continue };
            let mut forgetting = Forgetting { bytes: &mut self.bytes, outbox: &mut self.outbox };
            if forgetting.forget(history, self.compacted) {
                self.index.remove(&event.kv.key);
            }
        }
    }

    /// Drops what compaction made unreachable of a key that is not in the index yet; answers whether nothing is left.
    pub(super) fn forget(&mut self, history: &mut History) -> bool {
        Forgetting { bytes: &mut self.bytes, outbox: &mut self.outbox }.forget(history, self.compacted)
    }
}

/// What changes when versions are dropped.
struct Forgetting<'a> {
    bytes: &'a mut u64,
    outbox: &'a mut Option<Vec<Change>>,
}

impl Forgetting<'_> {
    fn forget(&mut self, history: &mut History, compacted: Revision) -> bool {
        history.compact(compacted, |version| {
            *self.bytes = self.bytes.saturating_sub(version.cost());
            if let Some(outbox) = self.outbox.as_mut() {
                outbox.push(Change::Drop { revision: version.kv.mod_revision, sub: version.sub });
            }
        })
    }
}
