//! An engine for tests: keeps its entries as long as one clone lives, and fails on demand.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, Engine, Visit};

/// A map in memory. Clones share it, so a store can be opened again on what an earlier one committed.
#[derive(Debug, Clone, Default)]
pub struct MemoryEngine {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    fault: Option<Fault>,
    commits: u64,
}

/// How the next commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, as with a full disk.
    Before,
    /// Everything is written, and then the sync fails.
    After,
}

impl MemoryEngine {
    /// Makes the next commit, and all after it, fail.
    pub fn break_with(&self, fault: Fault) {
        self.shared.lock().fault = Some(fault);
    }

    /// Makes commits work again.
    pub fn repair(&self) {
        self.shared.lock().fault = None;
    }

    /// How many batches were committed.
    pub fn commits(&self) -> u64 {
        self.shared.lock().commits
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.shared.lock().map.len()
    }
}

impl Engine for MemoryEngine {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        let map = self.shared.lock().map.clone();
        map.iter().filter(|(key, _)| key.starts_with(prefix)).try_for_each(|(key, value)| visit(key, value))
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        let mut shared = self.shared.lock();
        if shared.fault == Some(Fault::Before) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        for (key, value) in batch.iter() {
            match value {
                Some(value) => shared.map.insert(key.into(), value.into()),
                None => shared.map.remove(key),
            };
        }
        shared.commits += 1;
        match shared.fault {
            Some(_) => Err(io::Error::other("sync failed")),
            None => Ok(()),
        }
    }

    fn disk_bytes(&self) -> u64 {
        self.shared.lock().map.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}
