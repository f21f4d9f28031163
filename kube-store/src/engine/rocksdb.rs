//! The engine on RocksDB.

use std::io;
use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, ErrorKind, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::{Batch, Engine, Visit};

/// Values are in memory already; these only smooth compaction.
const CACHE_BYTES: usize = 8 << 20;
const MEMTABLE_BYTES: usize = 8 << 20;
/// Files held open; the rest are opened again when needed.
const OPEN_FILES: i32 = 256;

/// A RocksDB database in a directory, which it locks against other processes. Building it takes a C++ compiler, libclang and some minutes.
pub struct RocksDbEngine {
    database: DB,
    synced: WriteOptions,
}

impl RocksDbEngine {
    /// Opens or creates the database. Blocks.
    ///
    /// # Errors
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) when another process has it, else what the disk said.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(MEMTABLE_BYTES);
        options.set_max_open_files(OPEN_FILES);
        options.set_keep_log_file_num(2);
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
        options.set_block_based_table_factory(&table);
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self { database: DB::open(&options, dir).map_err(to_io)?, synced })
    }
}

impl Engine for RocksDbEngine {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        options.set_readahead_size(2 << 20);
        for entry in self.database.iterator_opt(IteratorMode::Start, options) {
            let (key, value) = entry.map_err(to_io)?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        let mut write = WriteBatch::default();
        for (key, value) in batch.iter() {
            match value {
                Some(value) => write.put(key, value),
                None => write.delete(key),
            }
        }
        self.database.write_opt(write, &self.synced).map_err(to_io)
    }

    fn shrink(&mut self) -> io::Result<bool> {
        self.database.flush().map_err(to_io)?;
        self.database.compact_range::<&[u8], &[u8]>(None, None);
        Ok(false)
    }

    fn disk_bytes(&self) -> u64 {
        let size = |property| self.database.property_int_value(property).ok().flatten().unwrap_or(0);
        size("rocksdb.total-sst-files-size") + size("rocksdb.cur-size-all-mem-tables")
    }
}

impl std::fmt::Debug for RocksDbEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksDbEngine").field("path", &self.database.path()).finish()
    }
}

fn to_io(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        // A lock that is held is reported as an I/O error, by the name of its file.
        ErrorKind::IOError if error.as_ref().contains("LOCK") => io::ErrorKind::ResourceBusy,
        ErrorKind::IOError if error.as_ref().contains("No space left") => io::ErrorKind::StorageFull,
        ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
