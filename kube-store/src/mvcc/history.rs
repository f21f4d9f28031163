//! The kept versions of one key.

use crate::{KeyValue, Revision};

/// One version: the key as a transaction left it, and which of the transaction's events it was. A version number of 0 says
/// that the key was deleted.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) kv: KeyValue,
    pub(crate) sub: u32,
}

impl Version {
    fn live(&self) -> Option<&Self> {
        (self.kv.version > 0).then_some(self)
    }

    /// Memory the version takes, bookkeeping included.
    pub(crate) fn cost(&self) -> u64 {
        Self::cost_of(self.kv.bytes())
    }

    /// The same for a key and value of so many bytes.
    pub(super) fn cost_of(bytes: usize) -> u64 {
        /// Index entry, log entry and allocation headers, measured roughly.
        const BOOKKEEPING: usize = 320;
        (bytes + BOOKKEEPING) as u64
    }
}

/// All kept versions of one key. The latest is held in place, so that a key without history takes no second allocation.
#[derive(Debug)]
pub(crate) struct History {
    latest: Version,
    /// Rising by revision, all before `latest`.
    older: Vec<Version>,
}

impl History {
    pub(crate) fn new(latest: Version) -> Self {
        Self { latest, older: Vec::new() }
    }

    pub(crate) fn push(&mut self, version: Version) {
        self.older.push(std::mem::replace(&mut self.latest, version));
    }

    /// All versions, as they came.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.older.iter().chain([&self.latest])
    }

    /// Revision of the oldest version.
    pub(crate) fn first_revision(&self) -> Revision {
        self.older.first().map_or(self.latest.kv.mod_revision, |version| version.kv.mod_revision)
    }

    /// The key as it is after the newest transaction, `None` when deleted.
    pub(crate) fn current(&self) -> Option<&KeyValue> {
        self.latest.live().map(|version| &version.kv)
    }

    /// The key as it was at `revision`.
    pub(crate) fn at(&self, revision: Revision) -> Option<&KeyValue> {
        self.version_at(revision).map(|version| &version.kv)
    }

    /// The version that was the newest at `revision`, `None` when the key did not exist then.
    pub(crate) fn version_at(&self, revision: Revision) -> Option<&Version> {
        if self.latest.kv.mod_revision <= revision {
            return self.latest.live();
        }
        let after = self.older.partition_point(|v| v.kv.mod_revision <= revision);
        self.older.get(after.checked_sub(1)?)?.live()
    }

    /// Drops what no read at or after `revision` can see, handing each dropped version to `dropped`; answers whether
    /// nothing is left. A delete exactly at `revision` stays until the next compaction, so that a watch from there still
    /// reports it after the store was opened again.
    pub(crate) fn compact(&mut self, revision: Revision, mut dropped: impl FnMut(&Version)) -> bool {
        let spent = |v: &Version| v.kv.version == 0 && v.kv.mod_revision < revision;
        if self.latest.kv.mod_revision <= revision {
            self.older.drain(..).for_each(|v| dropped(&v));
            let gone = spent(&self.latest);
            if gone {
                dropped(&self.latest);
            }
            return gone;
        }
        let seen = self.older.partition_point(|v| v.kv.mod_revision <= revision);
        let last_is_spent = seen.checked_sub(1).and_then(|i| self.older.get(i)).is_some_and(spent);
        let cut = if last_is_spent { seen } else { seen.saturating_sub(1) };
        self.older.drain(..cut).for_each(|v| dropped(&v));
        false
    }
}
