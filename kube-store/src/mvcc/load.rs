//! Building the state from what was made durable.

use tokio::time::Instant;

use super::history::Version;
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
            let scanned = engine.scan(prefix, &mut |key, value| {
                outcome = decode(key, value).and_then(|change| loader.add(change));
                // The scan only has to stop; the reason is kept outside.
                if outcome.is_err() { Err(std::io::ErrorKind::InvalidData.into()) } else { Ok(()) }
            });
            outcome?;
            scanned.map_err(Error::storage)?;
        }
        loader.finish()
    }
}

/// Builds a state from what was made durable, in its order.
#[derive(Debug)]
pub(crate) struct Loader {
    state: State,
    /// Revision being read, and its events so far.
    revision: Revision,
    events: Vec<Event>,
    known: bool,
    now: Instant,
}

impl Loader {
    /// An empty one. Leases start their time to live at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self { state: State::new(true), revision: 0, events: Vec::new(), known: false, now }
    }

    /// Takes the next change.
    pub(crate) fn add(&mut self, change: Change) -> Result<()> {
        let state = &mut self.state;
        match change {
            Change::Format => self.known = true,
            Change::Grant { id, ttl } => state.leases.insert(id, ttl, self.now),
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
        if kv.mod_revision != self.revision {
            self.end_revision()?;
            self.revision = kv.mod_revision;
        }
        let kind = if kv.version > 0 { EventKind::Put } else { EventKind::Delete };
        let prev = self.state.add_version(Version { kv: kv.clone(), sub });
        let event = Event { kind, kv, prev };
        if self.revision <= self.state.compacted {
            self.state.sweep_keys(std::slice::from_ref(&event));
        }
        self.events.push(event);
        Ok(())
    }

    fn end_revision(&mut self) -> Result<()> {
        let events = std::mem::take(&mut self.events);
        let state = &mut self.state;
        if events.is_empty() || self.revision < state.log.first() {
            return Ok(());
        }
        if self.revision != state.log.next() {
            let (found, wanted) = (self.revision, state.log.next());
            return Err(Error::corrupt(format!("revision {found} follows, {wanted} is missing")));
        }
        state.log.push(events.into());
        state.head = self.revision;
        Ok(())
    }

    /// The state that they make.
    pub(crate) fn finish(mut self) -> Result<State> {
        self.end_revision()?;
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
