//! Which of its transaction's changes wrote a key: no client sees it, but etcd hashes it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::State;
use crate::{Result, Revision};

/// The places of a range's keys being collected: which change of its transaction wrote a key, where it was not the first.
#[derive(Debug)]
pub(crate) struct Places {
    at: Revision,
    next: Bytes,
    found: BTreeMap<Bytes, u32>,
}

impl Places {
    /// Of all keys at `revision`.
    pub(crate) fn new(revision: Revision) -> Self {
        Self { at: revision, next: Bytes::new(), found: BTreeMap::new() }
    }

    /// Visits up to `budget` keys; answers whether all were. Fails when compaction overtook it.
    pub(crate) fn step(&mut self, state: &State, budget: usize) -> Result<bool> {
        state.check_revision(self.at, state.visible)?;
        for (visited, (key, history)) in state.histories_between(&self.next, None).enumerate() {
            if visited == budget {
                self.next = key.clone();
                return Ok(false);
            }
            if let Some(version) = history.version_at(self.at).filter(|version| version.sub > 0) {
                self.found.insert(key.clone(), version.sub);
            }
        }
        Ok(true)
    }

    pub(crate) fn finish(self) -> BTreeMap<Bytes, u32> {
        self.found
    }
}
