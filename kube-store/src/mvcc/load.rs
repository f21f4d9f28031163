//! Building the state from what was made durable.

use bytes::Bytes;
use tokio::time::Instant;

use super::history::{History, Version};
use super::log::Log;
use super::{Change, State};
use crate::engine::Engine;
use crate::{Error, Event, EventKind, KeyValue, Result, Revision};

impl State {
    /// Reads everything that `engine` holds. Leases start their time to live again. What a compaction did not come to
    /// delete before a crash is noted to be deleted now.
    pub(crate) fn load(engine: &dyn Engine, now: Instant) -> Result<Self> {
        Self::load_below(engine, &[&[]], now)
    }

    /// The same when keys that start otherwise are somebody else's.
    pub(crate) fn load_below(engine: &dyn Engine, prefixes: &[&[u8]], now: Instant) -> Result<Self> {
        let mut loader = Loader::new(now);
        let decode = if engine.verifies() { Change::decode_verified } else { Change::decode };
        for prefix in prefixes {
            let mut outcome = Ok(());
            let loaded = engine.load(prefix, &mut |key, value| {
                outcome = decode(key, value).and_then(|change| loader.add(change));
                // The scan only has to stop; the reason is kept outside.
                if outcome.is_err() { Err(std::io::ErrorKind::InvalidData.into()) } else { Ok(()) }
            });
            outcome?;
            loaded.map_err(Error::storage)?;
        }
        loader.finish()
    }
}

/// Builds a state from what was made durable, in its order. The index is made at the end, out of all keys in their order: that
/// takes less time and memory than to add one after the other.
#[derive(Debug)]
pub(crate) struct Loader {
    state: State,
    /// Versions from before the log, as they came.
    base: Vec<KeyValue>,
    /// Where all versions are, as they came.
    places: Vec<Place>,
    /// Revision being read, and its events so far.
    revision: Revision,
    events: Vec<Event>,
    known: bool,
    now: Instant,
}

/// Where a version is: in an event of the log, or, with a revision from before, in the base.
#[derive(Debug, Clone, Copy)]
struct Place {
    revision: Revision,
    at: usize,
    sub: u32,
}

impl Loader {
    /// An empty one. Leases start their time to live at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        let (base, places, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { state: State::new(true), base, places, revision: 0, events, known: false, now }
    }

    /// Takes the next change.
    pub(crate) fn add(&mut self, change: Change) -> Result<()> {
        let state = &mut self.state;
        match change {
            Change::Format => self.known = true,
            Change::Grant { id, ttl, left } => state.leases.insert(id, ttl, left, self.now),
            Change::Compact { .. } if !self.places.is_empty() => {
                return Err(Error::corrupt("where history starts is told after history"));
            }
            Change::Compact { revision } => {
                state.compacted = revision;
                state.head = state.head.max(revision);
                state.log = Log::starting_at(state.log.first().max(revision));
            }
            Change::Write { sub, kv } => return self.add_version(sub, kv),
            Change::Record { key, value: Some(value) } => state.insert_record(key, value),
            Change::Drop { .. } | Change::Revoke { .. } | Change::Record { value: None, .. } => {}
        }
        Ok(())
    }

    fn add_version(&mut self, sub: u32, kv: KeyValue) -> Result<()> {
        let revision = kv.mod_revision;
        if revision < self.state.log.first() {
            self.places.push(Place { revision, at: self.base.len(), sub });
            self.base.push(kv);
            return Ok(());
        }
        if revision != self.revision {
            self.end_revision();
            self.revision = revision;
            if revision != self.state.log.next() {
                let wanted = self.state.log.next();
                return Err(Error::corrupt(format!("revision {revision} follows, {wanted} is missing")));
            }
        }
        self.places.push(Place { revision, at: self.events.len(), sub });
        let kind = if kv.version > 0 { EventKind::Put } else { EventKind::Delete };
        self.events.push(Event { kind, kv, prev: None });
        Ok(())
    }

    fn end_revision(&mut self) {
        if !self.events.is_empty() {
            self.state.log.push(std::mem::take(&mut self.events).into());
            self.state.head = self.revision;
        }
    }

    fn at(&self, place: Place) -> Option<&KeyValue> {
        if place.revision < self.state.log.first() {
            return self.base.get(place.at);
        }
        self.state.log.get(place.revision)?.get(place.at).map(|event| &event.kv)
    }

    /// Notes in an event what it has replaced, and lets it share the memory of its key. Answers the version.
    fn link(&mut self, place: Place, key: Option<&Bytes>, prev: Option<&KeyValue>) -> Option<Version> {
        let in_log = place.revision >= self.state.log.first();
        let kv = if in_log {
            let event = self.state.log.get_mut(place.revision)?.get_mut(place.at)?;
            event.prev = prev.cloned();
            &mut event.kv
        } else {
            self.base.get_mut(place.at)?
        };
        if let Some(key) = key {
            kv.key = key.clone();
        }
        let kv = if in_log { kv.clone() } else { std::mem::take(kv) };
        Some(Version { kv, sub: place.sub })
    }

    /// Makes the index. A place never lacks what it was made for.
    fn index(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        places.sort_by(|a, b| self.at(*a).map(|kv| &kv.key).cmp(&self.at(*b).map(|kv| &kv.key)));
        let mut all: Vec<(Bytes, History)> = Vec::new();
        for place in places {
            let same = all.last_mut().filter(|(key, _)| self.at(place).is_some_and(|kv| kv.key == *key));
            if let Some((key, history)) = same {
                let version = self.link(place, Some(key), history.current());
                version.into_iter().for_each(|version| history.push(version));
                continue;
            }
            self.close(&mut all);
            if let Some(version) = self.link(place, None, None) {
                all.push((version.kv.key.clone(), History::new(version)));
            }
        }
        self.close(&mut all);
        self.state.index = all.into_iter().collect();
    }

    /// Takes the last key into account, of which everything is known. What a compaction did not come to delete is deleted now.
    fn close(&mut self, all: &mut Vec<(Bytes, History)>) {
        let Some((key, history)) = all.last_mut() else { return };
        let state = &mut self.state;
        state.bytes += history.versions().map(Version::cost).sum::<u64>();
        let gone = history.first_revision() <= state.compacted && state.forget(history);
        if let Some(kv) = history.current() {
            state.keys += 1;
            state.leases.rebind(key, 0, kv.lease);
        }
        if gone {
            all.pop();
        }
    }

    /// The state that they make.
    pub(crate) fn finish(mut self) -> Result<State> {
        self.end_revision();
        self.index();
        let mut state = self.state;
        (state.visible, state.taken) = (state.head, state.head);
        if !self.known {
            if state.head > 1 {
                return Err(Error::corrupt("the format is not given"));
            }
            state.note(Change::Format);
        }
        Ok(state)
    }
}
