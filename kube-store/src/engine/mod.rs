//! Where a durable store keeps its records: an ordered map of byte strings that syncs.
//!
//! [`LogEngine`] is the one to use. Another is three methods; this keeps everything in one file, which it writes anew each time:
//! ```
//! use std::collections::BTreeMap;
//! use std::io::{self, Write};
//! use std::{fs, path::PathBuf};
//!
//! use kube_store::engine::{Batch, Engine, Visit};
//! use kube_store::{Config, EmbeddedStore, StoreExt};
//!
//! #[derive(Debug)]
//! struct OneFile {
//!     path: PathBuf,
//!     map: BTreeMap<Vec<u8>, Vec<u8>>,
//! }
//!
//! impl OneFile {
//!     fn open(path: PathBuf) -> io::Result<Self> {
//!         let bytes = if path.exists() { fs::read(&path)? } else { Vec::new() };
//!         let (mut rest, mut fields) = (&bytes[..], Vec::new());
//!         while let Some((length, after)) = rest.split_first_chunk() {
//!             let (field, after) = after.split_at(u32::from_be_bytes(*length) as usize);
//!             fields.push(field.to_vec());
//!             rest = after;
//!         }
//!         let map = fields.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
//!         Ok(Self { path, map })
//!     }
//! }
//!
//! impl Engine for OneFile {
//!     fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
//!         let from = self.map.range(prefix.to_vec()..);
//!         from.take_while(|(key, _)| key.starts_with(prefix)).try_for_each(|(key, value)| visit(key, value))
//!     }
//!
//!     fn commit(&mut self, batch: &Batch) -> io::Result<()> {
//!         for (key, value) in batch.iter() {
//!             match value {
//!                 Some(value) => self.map.insert(key.to_vec(), value.to_vec()),
//!                 None => self.map.remove(key),
//!             };
//!         }
//!         let new = self.path.with_extension("new");
//!         let mut file = fs::File::create(&new)?;
//!         for field in self.map.iter().flat_map(|(key, value)| [key, value]) {
//!             file.write_all(&(field.len() as u32).to_be_bytes())?;
//!             file.write_all(field)?;
//!         }
//!         // What is promised is durable and whole: the file first, then its name.
//!         file.sync_all()?;
//!         fs::rename(&new, &self.path)?;
//!         fs::File::open(self.path.parent().unwrap())?.sync_all()
//!     }
//!
//!     fn disk_bytes(&self) -> u64 {
//!         fs::metadata(&self.path).map_or(0, |file| file.len())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kube_store::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("store");
//! let open = || EmbeddedStore::with_engine(OneFile::open(path.clone()).unwrap(), Config::default());
//! let written = open().await?.put("color", "green").await?;
//! let found = open().await?.get("color").await?.unwrap();
//! assert_eq!((found.value.as_ref(), found.mod_revision), (b"green".as_ref(), written));
//! # Ok(())
//! # }
//! ```

mod log;
#[cfg(feature = "server")]
mod measured;
#[cfg(any(test, feature = "testing"))]
mod memory;
#[cfg(feature = "rocksdb")]
mod rocksdb;

use std::fmt::Debug;
use std::io;
use std::ops::Range;

use bytes::Bytes;

pub use self::log::LogEngine;
#[cfg(feature = "server")]
pub use self::measured::{DiskMetrics, Measured};
#[cfg(any(test, feature = "testing"))]
pub use self::memory::{Fault, MemoryEngine};
#[cfg(feature = "rocksdb")]
pub use self::rocksdb::RocksDbEngine;

/// What a scan calls with each key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> io::Result<()> + 'a;

/// What a load calls with each key and value.
pub type Keep<'a> = dyn FnMut(&[u8], Bytes) -> io::Result<()> + 'a;

/// An ordered map of byte strings with atomic, durable batches. One thread owns it.
///
/// All that the store knows is in memory too, so an engine is written all the time and read once, when the store opens.
pub trait Engine: Send + Debug + 'static {
    /// Calls `visit` with every entry whose key starts with `prefix`, in order of keys, until it fails.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()>;

    /// As [`Engine::scan`], with values that can be kept. An engine that has read its values when it was opened gives them away
    /// here, so that nothing is read or copied a second time; it forgets them with the first commit.
    fn load(&self, prefix: &[u8], visit: &mut Keep<'_>) -> io::Result<()> {
        self.scan(prefix, &mut |key, value| visit(key, Bytes::copy_from_slice(value)))
    }

    /// Does all of `batch` or nothing, and returns when it would survive a crash. After an error the engine is not used
    /// again, and whether the batch happened is open.
    fn commit(&mut self, batch: &Batch) -> io::Result<()>;

    /// Gives back a part of the space that is taken on the disk and not needed; answers whether there is more to do. Commits may
    /// come in between. An engine that has nothing to give back does nothing, as by default. Errors are as those of a commit.
    fn shrink(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// Bytes on disk, roughly.
    fn disk_bytes(&self) -> u64;

    /// Whether the engine itself makes sure, by checksums, that what a scan gives is what was committed. The store then does
    /// not check its own once more.
    fn verifies(&self) -> bool {
        false
    }
}

/// Puts and deletes to be done together, in one buffer.
#[derive(Debug, Default)]
pub struct Batch {
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where key and value lie in the buffer.
#[derive(Debug)]
struct Entry {
    key: Range<usize>,
    value: Option<Range<usize>>,
}

impl Batch {
    /// Adds a put; `value` appends the value to the buffer it is given.
    pub fn put(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let key = self.append(|buffer| buffer.extend_from_slice(key));
        let value = self.append(value);
        self.entries.push(Entry { key, value: Some(value) });
    }

    /// Adds a delete.
    pub fn delete(&mut self, key: &[u8]) {
        let key = self.append(|buffer| buffer.extend_from_slice(key));
        self.entries.push(Entry { key, value: None });
    }

    /// Key and new value (`None`: deleted) of every entry, in the order added.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let slice = |range: &Range<usize>| self.buffer.get(range.clone()).unwrap_or_default();
        self.entries.iter().map(move |entry| (slice(&entry.key), entry.value.as_ref().map(slice)))
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets all entries and keeps the memory, unless it has become large.
    pub fn clear(&mut self) {
        /// What a batch keeps for the next one.
        const KEEP: usize = 1 << 20;
        self.entries.clear();
        self.buffer.clear();
        self.buffer.shrink_to(KEEP);
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.buffer.len();
        write(&mut self.buffer);
        start..self.buffer.len()
    }
}
