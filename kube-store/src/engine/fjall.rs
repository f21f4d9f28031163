//! The engine on `fjall`, a log-structured merge tree in Rust.

use std::io;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Batch, Engine, Visit};

/// Values are in memory already; these only smooth compaction.
const CACHE_BYTES: u64 = 8 << 20;
const MEMTABLE_BYTES: u64 = 8 << 20;

/// A `fjall` database in a directory, which it locks against other processes.
pub struct FjallEngine {
    database: Database,
    records: Keyspace,
}

impl FjallEngine {
    /// Opens or creates the database. Blocks.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let database =
            Database::builder(dir).cache_size(CACHE_BYTES).worker_threads(1).open().map_err(to_io)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let records = database.keyspace("records", options).map_err(to_io)?;
        Ok(Self { database, records })
    }
}

impl Engine for FjallEngine {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        for entry in self.records.prefix(prefix) {
            let (key, value) = entry.into_inner().map_err(to_io)?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        let mut write = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in batch.iter() {
            match value {
                Some(value) => write.insert(&self.records, key, value),
                None => write.remove(&self.records, key),
            }
        }
        write.commit().map_err(to_io)
    }

    fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

impl std::fmt::Debug for FjallEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallEngine").field("path", &self.records.path()).finish()
    }
}

fn to_io(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) => error,
        fjall::Error::Locked => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process uses the data directory")
        }
        error => io::Error::other(error),
    }
}
