//! What a watcher was told, held against what happened.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::rule::{Checked, Rule};
use crate::{Event, EventKind, KeyValue, Revision, WatchRequest};

/// Everything that happened, by revision. Previous values are those of the whole history.
#[derive(Debug, Clone, Default)]
pub struct History(BTreeMap<Revision, Vec<Event>>);

/// One thing that a watcher was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// What happened at a revision.
    Events(Vec<Event>),
    /// That there is nothing more up to a revision.
    Progress(Revision),
    /// That history before a revision is gone, which ended the watch.
    Compacted(Revision),
}

/// One watch, from its beginning to its end.
#[derive(Debug, Clone)]
pub struct Watched {
    /// What was asked for.
    pub request: WatchRequest,
    /// The store's revision when it began.
    pub opened: Revision,
    /// What it was told, in order.
    pub told: Vec<Told>,
}

impl History {
    /// Adds what a revision did.
    pub fn add(&mut self, revision: Revision, events: Vec<Event>) {
        self.0.insert(revision, events);
    }

    /// The newest revision.
    pub fn newest(&self) -> Revision {
        self.0.last_key_value().map_or(1, |(revision, _)| *revision)
    }

    /// All events of a revision.
    pub fn events(&self, revision: Revision) -> &[Event] {
        self.0.get(&revision).map_or(&[], Vec::as_slice)
    }

    /// A key as it was at a revision.
    pub fn at(&self, key: &[u8], revision: Revision) -> Option<&KeyValue> {
        let mut events = self.0.range(..=revision).rev().flat_map(|(_, events)| events);
        let event = events.find(|event| event.kv.key == key)?;
        (event.kind == EventKind::Put).then_some(&event.kv)
    }

    /// The events of a revision that a watch with this request is to tell.
    fn wanted<'a>(
        &'a self,
        request: &'a WatchRequest,
        revision: Revision,
    ) -> impl Iterator<Item = &'a Event> {
        let is_wanted =
            |event: &&Event| request.filter.admits(event.kind) && request.range.contains(&event.kv.key);
        self.events(revision).iter().filter(is_wanted)
    }

    /// The first revision in a range with something for a watch to tell.
    fn first_wanted(&self, request: &WatchRequest, range: RangeInclusive<Revision>) -> Option<Revision> {
        if range.is_empty() {
            return None;
        }
        self.0.range(range).map(|(revision, _)| *revision).find(|r| self.wanted(request, *r).next().is_some())
    }
}

impl Watched {
    /// The first revision that the watch is to tell of.
    pub fn start(&self) -> Revision {
        self.request.start_revision.filter(|start| *start > 0).unwrap_or(self.opened + 1)
    }

    /// Whether the watch was told everything up to a revision, or that it would not be.
    pub fn is_done(&self, revision: Revision) -> bool {
        match self.told.last() {
            Some(Told::Compacted(_)) => true,
            Some(Told::Progress(told)) => *told >= revision,
            Some(Told::Events(events)) => events.last().is_some_and(|e| e.kv.mod_revision >= revision),
            None => false,
        }
    }

    /// Holds what it was told against what happened: each revision comes once and in order, whole, from the start on,
    /// nothing is left out, and a report of progress is true.
    ///
    /// # Errors
    /// The first deviation.
    pub fn check(&self, history: &History) -> Checked {
        let mut seen = Seen { last: self.start() - 1, reported: 0 };
        for told in &self.told {
            match told {
                Told::Events(events) => {
                    for events in events.chunk_by(|a, b| a.kv.mod_revision == b.kv.mod_revision) {
                        self.check_events(history, events, &mut seen)?;
                    }
                }
                Told::Progress(revision) => self.check_progress(history, *revision, &mut seen)?,
                Told::Compacted(compacted) => {
                    if seen.last + 1 >= *compacted {
                        let what = format!("cut by compaction at {compacted}, having seen {}", seen.last);
                        return Rule::WatchGap.broken(what);
                    }
                }
            }
        }
        Ok(())
    }

    fn check_events(&self, history: &History, events: &[Event], seen: &mut Seen) -> Checked {
        let Some(revision) = events.first().map(|event| event.kv.mod_revision) else { return Ok(()) };
        if revision < self.start() {
            return Rule::WatchStart.broken(format!("told {revision}, began at {}", self.start()));
        }
        if revision <= seen.reported {
            return Rule::WatchProgress
                .broken(format!("told {revision} after progress at {}", seen.reported));
        }
        if revision == seen.last {
            return Rule::WatchTwice.broken(format!("told {revision} twice"));
        }
        if revision < seen.last {
            return Rule::WatchOrder.broken(format!("told {revision} after {}", seen.last));
        }
        if let Some(missed) = history.first_wanted(&self.request, seen.last + 1..=revision - 1) {
            return Rule::WatchGap.broken(format!("told {revision}, and not {missed} before"));
        }
        seen.last = revision;
        self.check_content(history, revision, events)
    }

    fn check_content(&self, history: &History, revision: Revision, events: &[Event]) -> Checked {
        let wanted: Vec<&Event> = history.wanted(&self.request, revision).collect();
        for (at, event) in events.iter().enumerate() {
            if events.iter().take(at).any(|other| other.kv.key == event.kv.key) {
                let key = event.kv.key.escape_ascii();
                return Rule::WatchTwice.broken(format!("told {key} twice at {revision}"));
            }
        }
        if let Some(missed) = wanted.iter().find(|w| events.iter().all(|event| event.kv.key != w.kv.key)) {
            let key = missed.kv.key.escape_ascii();
            return Rule::WatchGap.broken(format!("not told {key} of {revision}"));
        }
        let is_same = |(told, wanted): (&Event, &&Event)| {
            let same_prev = match (&told.prev, self.request.prev_kv) {
                // What was there before may be compacted.
                (None, _) => true,
                (prev, true) => *prev == wanted.prev,
                (Some(_), false) => false,
            };
            told.kind == wanted.kind && told.kv == wanted.kv && same_prev
        };
        if events.len() != wanted.len() || !events.iter().zip(&wanted).all(is_same) {
            return Rule::WatchContent.broken(format!("told {events:?}, and {wanted:?} happened"));
        }
        Ok(())
    }

    fn check_progress(&self, history: &History, revision: Revision, seen: &mut Seen) -> Checked {
        if revision < self.start() - 1 {
            let what = format!("told progress at {revision}, began at {}", self.start());
            return Rule::WatchStart.broken(what);
        }
        if revision < seen.last {
            return Rule::WatchOrder.broken(format!("told progress at {revision} after {}", seen.last));
        }
        if let Some(missed) = history.first_wanted(&self.request, seen.last + 1..=revision) {
            let what = format!("told progress at {revision} before {missed}");
            return Rule::WatchProgress.broken(what);
        }
        (seen.last, seen.reported) = (revision, revision);
        Ok(())
    }
}

/// How far a watch has come.
struct Seen {
    last: Revision,
    /// The newest report of progress.
    reported: Revision,
}
