//! The engine that is a log.
//!
//! Every batch is one frame behind the last one, and one synced write. The newest value of each key is found by a directory in
//! memory, which is made anew from the log when it is opened.
//!
//! ```text
//! lock           held while the engine lives
//! 00000007.log   a segment: a header, frames; its whole space is written with zeros before it gets its name
//! 00000008.log   the next one
//! ```
//!
//! - **Sizes.** A segment is as large as the log before it, from 1 MiB to 64 MiB, or more if a batch needs it (up to 4 GiB). The
//!   next one is made by a thread once the current one is half full, out of a file no longer needed if there is one.
//! - **Opening.** All segments are read once, on a thread for each processor. Their newest values are kept until the store asks for
//!   them ([`Engine::load`]) or writes; see `kept`.
//! - **Garbage.** The log is at most twice what is needed plus four segments. What has to be moved for that at most doubles what
//!   is written; see `clean`.
//! - **Damage.** Each frame says up to where the log was synced when it was written. See `recover` for what follows from that. The
//!   newest frame after a crash has none behind it: if it is damaged, it looks like one that was being written, and is
//!   dropped. A log that was closed ends with a frame that says so.

mod append;
mod clean;
mod directory;
mod disk;
#[cfg(test)]
mod faults;
mod frame;
mod kept;
mod recover;
mod scan;
mod shrink;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;
use parking_lot::Mutex;

use self::append::Preparing;
use self::clean::Cleaner;
use self::directory::Directory;
use self::disk::Disk;
use self::frame::Mark;
use self::kept::Kept;
use self::recover::{Extent, Recovered};
use self::window::FIRST;
use super::{Batch, Engine, Keep, Visit};

/// What the buffers keep from one batch to the next.
const KEEP: usize = 1 << 20;

/// A log in a directory, which it locks against other processes.
pub struct LogEngine {
    disk: Disk,
    _lock: File,
    sizes: Sizes,
    directory: Directory,
    /// What was read when the log was opened and not asked for yet.
    kept: Mutex<Kept>,
    extents: BTreeMap<u32, Extent>,
    /// Where is written.
    current: u32,
    file: File,
    /// The newest frame's.
    mark: Mark,
    preparing: Option<Preparing>,
    /// A segment no longer needed, whose file may be used again.
    retired: Option<u32>,
    cleaner: Option<Cleaner>,
    /// Segments up to this one are emptied, however much of them is needed.
    shrinking: Option<u32>,
    moved: Batch,
    buffer: Vec<u8>,
    state: Health,
}

/// The least and the most that a segment holds, in bytes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    least: u32,
    most: u32,
}

/// What an engine may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// Nothing was written since it was opened.
    Untouched,
    Good,
    /// A write or sync failed: what the disk has is not known, and asking again would not tell.
    Failed,
}

impl LogEngine {
    /// Opens or creates the log, and its directory. Blocks.
    ///
    /// # Errors
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) when another process has it, [`InvalidData`](io::ErrorKind::InvalidData)
    /// when something that was synced is damaged or missing, else what the disk said.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (disk, lock) = Disk::lock(dir)?;
        Self::open_on(disk, lock, Sizes { least: 1 << 20, most: 64 << 20 })
    }

    fn open_on(disk: Disk, lock: File, sizes: Sizes) -> io::Result<Self> {
        let Recovered { directory, kept, extents, mark } = match recover::recover(&disk)? {
            Some(recovered) => recovered,
            None => create(&disk, sizes)?,
        };
        let current = extents.last_key_value().map_or(1, |(segment, _)| *segment);
        let file = disk.open_to_write(current)?;
        // What is read from now on must last, and the newest frame may not have been synced.
        file.sync_all()?;
        Ok(Self {
            disk,
            _lock: lock,
            sizes,
            directory,
            kept: Mutex::new(kept),
            extents,
            current,
            file,
            mark,
            preparing: None,
            retired: None,
            cleaner: None,
            shrinking: None,
            moved: Batch::default(),
            buffer: Vec::new(),
            state: Health::Untouched,
        })
    }

    /// Does something after whose failure nothing more may be done.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        *self.kept.get_mut() = Kept::default();
        if self.state == Health::Failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        // Stays so if this panics.
        self.state = Health::Failed;
        let done = work(self)?;
        self.state = Health::Good;
        Ok(done)
    }

    /// Writes a batch, and with it what is moved as if so many bytes were written.
    fn advance(&mut self, batch: &Batch, bytes: usize) -> io::Result<()> {
        self.gather(bytes)?;
        frame::encode(&mut self.buffer, &[&self.moved, batch])?;
        self.append()?;
        self.retire();
        self.prepare_ahead()?;
        if self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Bytes of all segments, of the current one only those that are used.
    fn used(&self) -> u64 {
        let bytes = |(segment, extent): (&u32, &Extent)| {
            u64::from(if *segment == self.current { extent.end } else { extent.capacity })
        };
        self.extents.iter().map(bytes).sum()
    }
}

/// A log with one segment.
fn create(disk: &Disk, sizes: Sizes) -> io::Result<Recovered> {
    disk.create(1, sizes.least, None)?;
    let extent = Extent { capacity: sizes.least, end: FIRST as u32 };
    let mark = Mark { sequence: 0, synced: 0, oldest: 1 };
    let (directory, kept) = (Directory::default(), Kept::default());
    Ok(Recovered { directory, kept, extents: [(1, extent)].into(), mark })
}

impl Engine for LogEngine {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        scan::scan(&self.disk, &self.directory, prefix, visit)
    }

    fn load(&self, prefix: &[u8], visit: &mut Keep<'_>) -> io::Result<()> {
        let mut kept = std::mem::take(&mut *self.kept.lock());
        if kept.is_empty() {
            return self.scan(prefix, &mut |key, value| visit(key, Bytes::copy_from_slice(value)));
        }
        let loaded = scan::load(&self.disk, &self.directory, &mut kept, prefix, visit);
        if !kept.is_empty() {
            *self.kept.lock() = kept;
        }
        loaded
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        self.guarded(|log| log.advance(batch, batch.bytes()))
    }

    fn shrink(&mut self) -> io::Result<bool> {
        self.shrink_more()
    }

    fn disk_bytes(&self) -> u64 {
        self.used()
    }

    fn verifies(&self) -> bool {
        true
    }
}

impl Drop for LogEngine {
    /// Ends the log with a frame that says that all before it was synced.
    fn drop(&mut self) {
        if self.state == Health::Good
            && let Err(error) = self.commit(&Batch::default())
        {
            tracing::warn!(%error, "the log was not closed");
        }
        if let Some(preparing) = self.preparing.take() {
            // Nobody needs the segment now, so it does not matter whether it could be made.
            let _ = preparing.finish();
        }
    }
}

impl std::fmt::Debug for LogEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogEngine").field("dir", &self.disk.dir()).finish_non_exhaustive()
    }
}
