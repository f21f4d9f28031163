//! The files of a log: what is done to them goes through here, so that a test can let any step of it fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Bytes before the first frame of a segment.
pub(super) const HEADER: u32 = 64;
const MAGIC: &[u8; 16] = b"kube-store log 1";
/// A segment in the making.
const UNFINISHED: &str = "next";
/// How much is filled with zeros before it is synced, so that commits do not wait behind all of it.
const FILL: u32 = 1 << 20;
/// How much of that is written at once. The kernel keeps what one call writes together, and looks at all of it for each small
/// write into it: after a call for 1 MiB that takes 10 of a commit's 60 microseconds.
const PIECE: u32 = 64 << 10;
/// How a segment is written: every write is synced.
const SYNCED: OFlags = OFlags::WRONLY.union(OFlags::DSYNC);

/// A directory with the segments of a log, locked against other processes.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    dir: PathBuf,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

impl Disk {
    /// The directory, and the lock on it, which goes with the file.
    pub(super) fn lock(dir: &Path) -> io::Result<(Self, File)> {
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let what = "another process uses the data directory";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        let disk = Self {
            dir: dir.to_owned(),
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        };
        Ok((disk, lock))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Numbers of the segments that are there, rising.
    pub(super) fn segments(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            numbers.extend(number.and_then(|number| u32::from_str_radix(number, 16).ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.dir.join(format!("{segment:08x}.log"))
    }

    /// Opens a segment to read it; answers its size too. Refuses one that is not whole.
    pub(super) fn open(&self, segment: u32) -> io::Result<(File, u32)> {
        let file = File::open(self.path(segment))?;
        let mut header = [0; HEADER as usize];
        let capacity = match file.read_exact_at(&mut header, 0) {
            Ok(()) => read_header(segment, &header),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let capacity = capacity.ok_or_else(|| corrupt(format!("segment {segment:08x} has no header")))?;
        if file.metadata()?.len() != u64::from(capacity) {
            return Err(corrupt(format!("segment {segment:08x} was cut")));
        }
        Ok((file, capacity))
    }

    /// Opens a segment to write on in it. Every write is synced.
    pub(super) fn open_to_write(&self, segment: u32) -> io::Result<File> {
        open(&self.path(segment), SYNCED)
    }

    /// Makes a segment of `capacity` bytes, out of a retired one if that is as large. It is whole and synced before it has
    /// its name. Its space is allocated and written, since a write that allocates takes twice as long to sync.
    pub(super) fn create(&self, segment: u32, capacity: u32, retired: Option<u32>) -> io::Result<File> {
        let unfinished = self.dir.join(UNFINISHED);
        let fits = |old: &u32| self.open(*old).is_ok_and(|(_, size)| size == capacity);
        let again = retired.filter(fits);
        if let (Some(retired), None) = (retired, again) {
            self.remove(retired)?;
        }
        let file = match again {
            Some(old) => {
                self.step()?;
                std::fs::rename(self.path(old), &unfinished)?;
                open(&unfinished, SYNCED)?
            }
            None => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
                self.fill(&open(&unfinished, flags)?, capacity)?;
                open(&unfinished, SYNCED)?
            }
        };
        self.write(&file, &write_header(segment, capacity), 0)?;
        self.step()?;
        file.sync_all()?;
        self.step()?;
        std::fs::rename(&unfinished, self.path(segment))?;
        self.sync_dir()?;
        Ok(file)
    }

    /// Writes zeros to a file whose writes are not synced by themselves.
    fn fill(&self, file: &File, capacity: u32) -> io::Result<()> {
        let zeros = vec![0; PIECE.min(capacity) as usize];
        let mut at = 0;
        while at < capacity {
            let now = PIECE.min(capacity - at);
            self.write(file, zeros.get(..now as usize).unwrap_or_default(), at)?;
            at += now;
            if at.is_multiple_of(FILL) || at == capacity {
                self.step()?;
                file.sync_data()?;
            }
        }
        Ok(())
    }

    /// Writes; when it returns, a segment is synced too.
    pub(super) fn write(&self, file: &File, bytes: &[u8], offset: u32) -> io::Result<()> {
        #[cfg(test)]
        let bytes = match self.faults.cut(bytes.len()) {
            Some(length) => {
                file.write_all_at(&bytes[..length], offset.into())?;
                return Err(super::faults::Faults::error());
            }
            None => bytes,
        };
        file.write_all_at(bytes, offset.into())
    }

    /// Removes a segment. That need not last: one that comes back is not needed, and removed again.
    pub(super) fn remove(&self, segment: u32) -> io::Result<()> {
        self.step()?;
        std::fs::remove_file(self.path(segment))
    }

    /// Makes names last.
    pub(super) fn sync_dir(&self) -> io::Result<()> {
        self.step()?;
        File::open(&self.dir)?.sync_all()
    }

    /// Where a test lets the process end.
    fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.cut(0).is_some() {
            return Err(super::faults::Faults::error());
        }
        Ok(())
    }
}

/// Opens a file of the log.
fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, mode)?.into())
}

/// Magic, number, size, checksum of these; zeros behind.
fn write_header(segment: u32, capacity: u32) -> [u8; HEADER as usize] {
    let mut header = [0; HEADER as usize];
    header[..16].copy_from_slice(MAGIC);
    header[16..20].copy_from_slice(&segment.to_be_bytes());
    header[20..24].copy_from_slice(&capacity.to_be_bytes());
    let sum = crc32fast::hash(&header[..24]);
    header[24..28].copy_from_slice(&sum.to_be_bytes());
    header
}

fn read_header(segment: u32, header: &[u8; HEADER as usize]) -> Option<u32> {
    let capacity = u32::from_be_bytes(*header.get(20..)?.first_chunk()?);
    (*header == write_header(segment, capacity)).then_some(capacity)
}

pub(super) fn corrupt(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
