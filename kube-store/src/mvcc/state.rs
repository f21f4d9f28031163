//! The state and what every part of it needs.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::history::{History, Version};
use super::lease::Leases;
use super::log::Log;
use super::record::{Change, encode_version};
use crate::engine::Batch;
use crate::{Error, Event, KeyRange, KeyValue, Result, Revision};

/// Everything a store knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) index: BTreeMap<Bytes, History>,
    pub(super) log: Log,
    pub(super) leases: Leases,
    pub(super) head: Revision,
    pub(super) visible: Revision,
    pub(super) compacted: Revision,
    /// Newest revision handed out to be made durable.
    pub(super) taken: Revision,
    pub(super) keys: u64,
    pub(super) bytes: u64,
    /// What is kept beside the keys, without history, and how often that was changed.
    pub(super) records: BTreeMap<Bytes, Bytes>,
    pub(super) records_version: u64,
    /// What else has to be made durable; `None` when nobody will.
    pub(super) outbox: Option<Vec<Change>>,
    /// Why writes are refused.
    pub(super) failure: Option<Error>,
}

impl State {
    /// Revision of a store in which nothing was ever written, as etcd's.
    pub(crate) const EMPTY: Revision = 1;

    /// An empty store. `durable` says whether somebody takes changes by [`State::take_changes`].
    pub(crate) fn new(durable: bool) -> Self {
        Self {
            index: BTreeMap::new(),
            log: Log::starting_at(Self::EMPTY + 1),
            leases: Leases::default(),
            head: Self::EMPTY,
            visible: Self::EMPTY,
            compacted: 0,
            taken: Self::EMPTY,
            keys: 0,
            bytes: 0,
            records: BTreeMap::new(),
            records_version: 0,
            outbox: durable.then(Vec::new),
            failure: None,
        }
    }

    pub(crate) fn head(&self) -> Revision {
        self.head
    }

    pub(crate) fn visible(&self) -> Revision {
        self.visible
    }

    pub(crate) fn compacted(&self) -> Revision {
        self.compacted
    }

    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Events of one visible revision, `None` when it is compacted or not there yet.
    pub(crate) fn events(&self, revision: Revision) -> Option<&[Event]> {
        self.log.get(revision)
    }

    /// Makes everything up to `revision` visible; answers the revisions that became so.
    pub(crate) fn publish(&mut self, revision: Revision) -> std::ops::RangeInclusive<Revision> {
        let from = self.visible + 1;
        self.visible = self.visible.max(revision.min(self.head));
        from..=self.visible
    }

    /// Whether everything is durable.
    pub(crate) fn is_settled(&self) -> bool {
        self.visible == self.head && self.outbox.as_ref().is_none_or(Vec::is_empty)
    }

    /// Refuses all writes from now on.
    pub(crate) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// Adds to `batch` what has to be made durable; answers the revision that may be published then.
    pub(crate) fn encode_changes(&mut self, batch: &mut Batch) -> Revision {
        self.outbox.iter_mut().flat_map(|outbox| outbox.drain(..)).for_each(|change| change.encode(batch));
        for revision in self.taken + 1..=self.head {
            let events = self.log.get(revision).unwrap_or_default();
            events.iter().zip(0..).for_each(|(event, sub)| encode_version(&event.kv, sub, batch));
        }
        self.taken = self.head;
        self.head
    }

    /// Takes what has to be made durable, and the revision that may be published then.
    #[cfg(feature = "raft")]
    pub(crate) fn take_changes(&mut self) -> (Revision, Vec<Change>) {
        let mut changes = self.outbox.as_mut().map(std::mem::take).unwrap_or_default();
        for revision in self.taken + 1..=self.head {
            let events = self.log.get(revision).unwrap_or_default();
            changes.extend(
                events.iter().zip(0..).map(|(event, sub)| Change::Write { sub, kv: event.kv.clone() }),
            );
        }
        self.taken = self.head;
        (self.head, changes)
    }

    /// Whether something was not yet taken to be made durable.
    #[cfg(feature = "raft")]
    pub(crate) fn has_changes(&self) -> bool {
        self.taken < self.head || self.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty())
    }

    pub(super) fn note(&mut self, change: Change) {
        if let Some(outbox) = &mut self.outbox {
            outbox.push(change);
        }
    }

    /// The error for reading at `revision` when `current` is the newest that may be read.
    pub(super) fn check_revision(&self, revision: Revision, current: Revision) -> Result<()> {
        if revision > current {
            return Err(Error::FutureRevision { requested: revision, current });
        }
        if revision < self.compacted {
            return Err(Error::Compacted { compacted: self.compacted });
        }
        Ok(())
    }

    pub(super) fn at(&self, key: &[u8], revision: Revision) -> Option<&KeyValue> {
        self.index.get(key)?.at(revision)
    }

    /// Histories of the keys in `range`.
    pub(super) fn histories(&self, range: &KeyRange) -> impl Iterator<Item = (&Bytes, &History)> {
        let (start, end) = (range.start(), range.end());
        self.histories_between(&start, end.as_ref())
    }

    pub(super) fn histories_between<'a>(
        &'a self,
        start: &Bytes,
        end: Option<&Bytes>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a History)> + use<'a> {
        let end = match end {
            // A map refuses ranges that end before they start.
            Some(end) => Bound::Excluded(end.max(start).as_ref()),
            None => Bound::Unbounded,
        };
        self.index.range::<[u8], _>((Bound::Included(start.as_ref()), end))
    }

    /// Adds a version of a key; answers the one before it, if the key existed.
    pub(super) fn add_version(&mut self, version: Version) -> Option<KeyValue> {
        let (key, lease, live) = (version.kv.key.clone(), version.kv.lease, version.kv.version > 0);
        self.bytes += version.cost();
        let prev = match self.index.get_mut(&key) {
            Some(history) => {
                let prev = history.current().cloned();
                history.push(version);
                prev
            }
            None => {
                self.index.insert(key.clone(), History::new(version));
                None
            }
        };
        self.keys = self.keys + u64::from(live) - u64::from(prev.is_some());
        self.leases.rebind(&key, prev.as_ref().map_or(0, |kv| kv.lease), lease);
        prev
    }
}
