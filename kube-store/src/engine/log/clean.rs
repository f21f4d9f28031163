//! Moving what is still needed out of the oldest segment, so that the file can go.
//!
//! Segments go in the order in which they came: then a delete never goes before what it deletes. The oldest one is emptied
//! when less than half of the log is needed. Over one pass through the log, at most as much is moved as was written since
//! the last one, so that each byte is written twice at most, averaged over a pass; a segment of which nothing is needed goes
//! without any of this.

use std::io;

use super::LogEngine;
use super::directory::{Directory, Place};
use super::disk::{Disk, corrupt};
use super::frame::{self, ENTRY, HEAD};
use super::window::{FIRST, Window};
use crate::engine::Batch;

/// Least bytes of the oldest segment that one commit looks at.
const STEP: usize = 64 << 10;
/// How many bytes it looks at for each byte that it writes. More than two, or garbage would come faster than it goes.
pub(super) const PACE: usize = 4;

/// A walk through a segment.
#[derive(Debug)]
pub(super) struct Cleaner {
    window: Window,
    at: usize,
    /// Where the entries of the frame at hand end, and where the next frame starts.
    frame: (usize, usize),
    end: usize,
    key: Vec<u8>,
}

impl LogEngine {
    /// Copies to `self.moved` what the oldest segment has that is still needed, as far as a commit of `fresh` bytes goes.
    pub(super) fn gather(&mut self, fresh: usize) -> io::Result<()> {
        self.moved.clear();
        let oldest = self.directory.first().unwrap_or(self.current);
        if self.cleaner.as_ref().is_some_and(|cleaner| cleaner.window.segment != oldest) {
            self.cleaner = None;
        }
        if oldest == self.current
            || (self.cleaner.is_none() && !self.is_wasteful() && Some(oldest) > self.shrinking)
        {
            return Ok(());
        }
        let mut cleaner = match self.cleaner.take() {
            Some(cleaner) => cleaner,
            None => {
                let end = self.extents.get(&oldest).map_or(FIRST, |extent| extent.end as usize);
                Cleaner::open(&self.disk, oldest, end)?
            }
        };
        cleaner.step(&self.directory, &mut self.moved, STEP.max(fresh.saturating_mul(PACE)))?;
        self.cleaner = Some(cleaner);
        Ok(())
    }

    /// Whether less than half of the log is needed, not counting what is too little to matter.
    fn is_wasteful(&self) -> bool {
        let capacity = self.extents.get(&self.current).map_or(0, |extent| extent.capacity);
        self.used() > 2 * self.directory.bytes() + 2 * u64::from(capacity)
    }
}

impl Cleaner {
    fn open(disk: &Disk, segment: u32, end: usize) -> io::Result<Self> {
        let window = Window::open(disk, segment)?;
        Ok(Self { window, at: FIRST, frame: (FIRST, FIRST), end, key: Vec::new() })
    }

    fn step(&mut self, directory: &Directory, moved: &mut Batch, budget: usize) -> io::Result<()> {
        let until = self.at.saturating_add(budget).min(self.end);
        while self.at < until {
            if self.at == self.frame.0 {
                self.at = self.frame.1;
                self.next_frame()?;
            } else {
                self.next_entry(directory, moved)?;
            }
        }
        Ok(())
    }

    /// Starts on a frame, which is checked first: a copy would get a new checksum, and hide that the original is damaged.
    fn next_frame(&mut self) -> io::Result<()> {
        if self.at == self.end {
            return Ok(());
        }
        let head = self.window.head(self.at)?;
        match head {
            Some(head) if self.window.is_whole(self.at, &head)? => {
                let start = self.at + HEAD;
                self.frame = (start + head.length, self.at + frame::space(head.length));
                self.at = start;
                Ok(())
            }
            _ => Err(self.damaged()),
        }
    }

    fn next_entry(&mut self, directory: &Directory, moved: &mut Batch) -> io::Result<()> {
        let lengths = self.window.bytes(self.at, ENTRY)?.and_then(|mut bytes| frame::lengths(&mut bytes));
        let (key, value) = lengths.ok_or_else(|| self.damaged())?;
        self.key.clear();
        self.key.extend_from_slice(self.window.bytes(self.at + ENTRY, key)?.unwrap_or_default());
        let start = self.at + ENTRY + key;
        let length = value.unwrap_or(0);
        let place = Place { segment: self.window.segment, offset: start as u32, length: length as u32 };
        if value.is_some() && directory.is_at(&self.key, place) {
            match self.window.bytes(start, length)? {
                Some(value) => moved.put(&self.key, |buffer| buffer.extend_from_slice(value)),
                None => return Err(self.damaged()),
            }
        }
        self.at = start + length;
        Ok(())
    }

    fn damaged(&self) -> io::Error {
        corrupt(format!("segment {:08x} is damaged at {}", self.window.segment, self.at))
    }
}
