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

    /// Writes, or with `None` deletes, all of these; new ones are refused when the store is full.
    pub(crate) fn write_records(&mut self, changes: Vec<(Bytes, Option<Bytes>)>, quota: u64) -> Result<()> {
        if self.bytes > quota.saturating_add(RESERVE) && changes.iter().any(|(_, value)| value.is_some()) {
            return Err(Error::NoSpace { used: self.bytes, quota });
        }
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
