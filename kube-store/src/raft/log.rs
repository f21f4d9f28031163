//! A member's log in memory, as the `raft` crate reads it. Records on the disk are the same, written before this matters.

use std::collections::VecDeque;

use raft::prelude::{Entry, HardState, RaftState, Snapshot, Storage};
use raft::{Error, GetEntriesContext, Result, StorageError};

use super::record::{Applied, Loaded, Position};

/// Entries after the dropped ones, and what goes with them.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) hard: HardState,
    /// What is applied, durable or not: what a snapshot taken now would hold.
    pub(super) applied: Applied,
    truncated: Position,
    entries: VecDeque<Entry>,
    bytes: u64,
}

impl Log {
    pub(super) fn new(loaded: Loaded) -> Self {
        let Loaded { hard, applied, truncated, entries, .. } = loaded;
        let bytes = entries.iter().map(cost).sum();
        Self { hard, applied, truncated, entries: entries.into(), bytes }
    }

    pub(super) fn truncated(&self) -> Position {
        self.truncated
    }

    pub(super) fn last(&self) -> Position {
        self.entries.back().map_or(self.truncated, position)
    }

    /// Adds entries, replacing what was there from the first on; answers the indexes that are gone now.
    pub(super) fn append(&mut self, entries: &[Entry]) -> std::ops::Range<u64> {
        let (Some(first), Some(newest)) = (entries.first(), entries.last()) else { return 0..0 };
        let old_end = self.last().index + 1;
        while self.entries.back().is_some_and(|entry| entry.index >= first.index) {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= cost(&entry);
            }
        }
        self.bytes += entries.iter().map(cost).sum::<u64>();
        self.entries.extend(entries.iter().cloned());
        newest.index + 1..old_end
    }

    /// Drops entries up to `limit` until neither more than `keep` entries nor more than `keep_bytes` are there; answers
    /// the indexes that are gone.
    pub(super) fn truncate(&mut self, limit: u64, keep: u64, keep_bytes: u64) -> std::ops::Range<u64> {
        let from = self.truncated.index + 1;
        while let Some(first) = self.entries.front()
            && first.index <= limit
            && (self.entries.len() as u64 > keep || self.bytes > keep_bytes)
        {
            self.truncated = position(first);
            self.bytes -= cost(first);
            self.entries.pop_front();
        }
        from..self.truncated.index + 1
    }

    /// Begins again after a snapshot; answers the indexes that are gone.
    pub(super) fn restart(&mut self, applied: Applied) -> std::ops::Range<u64> {
        let gone = self.truncated.index + 1..self.last().index + 1;
        self.truncated = applied.at;
        self.hard.commit = self.hard.commit.max(applied.at.index);
        self.applied = applied;
        self.entries.clear();
        self.bytes = 0;
        gone
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn at(&self, index: u64) -> Result<usize> {
        match index.checked_sub(self.truncated.index + 1) {
            None => Err(Error::Store(StorageError::Compacted)),
            Some(at) => usize::try_from(at).map_err(|_| Error::Store(StorageError::Unavailable)),
        }
    }
}

fn position(entry: &Entry) -> Position {
    Position { index: entry.index, term: entry.term }
}

fn cost(entry: &Entry) -> u64 {
    (entry.data.len() + entry.context.len() + size_of::<Entry>()) as u64
}

impl Storage for Log {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(self.hard.clone(), self.applied.conf.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        let (from, to) = (self.at(low)?, self.at(high)?);
        if to > self.entries.len() {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += cost(entry);
            first || bytes <= limit
        };
        Ok(self.entries.range(from..to).take_while(fits).cloned().collect())
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.truncated.index {
            return Ok(self.truncated.term);
        }
        let entry = self.entries.get(self.at(index)?);
        entry.map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.truncated.index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last().index)
    }

    /// Only the place in the log: the state is added when the message leaves, which is when it fits the place.
    fn snapshot(&self, request_index: u64, _to: u64) -> Result<Snapshot> {
        let at = self.applied.at;
        if at.index < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (at.index, at.term);
        metadata.set_conf_state(self.applied.conf.clone());
        Ok(snapshot)
    }
}
