//! Records beside the keys: they have no revisions, and neither ranges nor watches see them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Change, State};
use crate::{Error, Result};

/// Room for records beyond the quota, so that a full store can still note that it is full.
const RESERVE: u64 = 1 << 20;

/// What a record takes beside its bytes, roughly.
const BOOKKEEPING: usize = 128;

impl State {
    pub(crate) fn records(&self) -> &BTreeMap<Bytes, Bytes> {
        &self.records
    }

    /// Rises with every change of the records.
    pub(crate) fn records_version(&self) -> u64 {
        self.records_version
    }

    /// Goes on counting where a state that this one replaces has stopped.
    #[cfg(feature = "raft")]
    pub(crate) fn follow_records_of(&mut self, replaced: &Self) {
        self.records_version = replaced.records_version + 1;
    }

    /// Refuses new records when the store is full.
    pub(crate) fn check_records(&self, changes: &[(Bytes, Option<Bytes>)], quota: u64) -> Result<()> {
        if self.bytes > quota.saturating_add(RESERVE) && changes.iter().any(|(_, value)| value.is_some()) {
            return Err(Error::NoSpace { used: self.bytes, quota });
        }
        Ok(())
    }

    /// Writes, or with `None` deletes, all of these; new ones are refused when the store is full.
    pub(crate) fn write_records(&mut self, changes: Vec<(Bytes, Option<Bytes>)>, quota: u64) -> Result<()> {
        self.check_records(&changes, quota)?;
        self.records_version += 1;
        for (key, value) in changes {
            self.note(Change::Record { key: key.clone(), value: value.clone() });
            match value {
                Some(value) => self.insert_record(key, value),
                None => {
                    if let Some(old) = self.records.remove(&key) {
                        self.bytes = self.bytes.saturating_sub(cost(&key, &old));
                    }
                }
            }
        }
        Ok(())
    }

    /// The same, if the record `name` has this value (`None`: there is none); answers whether it has.
    pub(crate) fn swap_records(
        &mut self,
        (name, value): &(Bytes, Option<Bytes>),
        changes: Vec<(Bytes, Option<Bytes>)>,
        quota: u64,
    ) -> Result<bool> {
        let is_so = self.records.get(name) == value.as_ref();
        if is_so {
            self.write_records(changes, quota)?;
        }
        Ok(is_so)
    }

    pub(super) fn insert_record(&mut self, key: Bytes, value: Bytes) {
        self.bytes += cost(&key, &value);
        if let Some(old) = self.records.insert(key.clone(), value) {
            self.bytes = self.bytes.saturating_sub(cost(&key, &old));
        }
    }
}

fn cost(key: &Bytes, value: &Bytes) -> u64 {
    (key.len() + value.len() + BOOKKEEPING) as u64
}
