//! Reading a segment from front to back in large steps.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::disk::{Disk, HEADER};
use super::frame::{self, HEAD, Head};

/// Read at once: enough for the disk, and still in the processor's cache when it is looked at.
pub(super) const CHUNK: usize = 512 << 10;
/// Where the first frame of a segment starts.
pub(super) const FIRST: usize = HEADER as usize;

/// A part of a segment in memory.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) segment: u32,
    pub(super) capacity: u32,
    file: File,
    start: usize,
    buffer: Vec<u8>,
}

impl Window {
    /// Opens a segment.
    pub(super) fn open(disk: &Disk, segment: u32) -> io::Result<Self> {
        let (file, capacity) = disk.open(segment)?;
        Ok(Self { segment, capacity, file, start: 0, buffer: Vec::new() })
    }

    /// Bytes of the segment; `None` when it is not that long.
    pub(super) fn bytes(&mut self, offset: usize, length: usize) -> io::Result<Option<&[u8]>> {
        let end = offset.saturating_add(length);
        if end > self.capacity as usize {
            return Ok(None);
        }
        if offset < self.start || end > self.start + self.buffer.len() {
            self.slide(offset, length.max(CHUNK).min(self.capacity as usize - offset))?;
        }
        Ok(self.buffer.get(offset - self.start..end - self.start))
    }

    /// Has `wanted` bytes from `offset` on; what is there already is not read again.
    fn slide(&mut self, offset: usize, wanted: usize) -> io::Result<()> {
        let past = offset.checked_sub(self.start).filter(|past| *past <= self.buffer.len());
        match past {
            Some(past) => drop(self.buffer.drain(..past)),
            None => self.buffer.clear(),
        }
        self.start = offset;
        let known = self.buffer.len().min(wanted);
        self.buffer.truncate(wanted);
        // One very large value must not keep its memory.
        self.buffer.shrink_to(wanted.max(CHUNK));
        self.buffer.resize(wanted, 0);
        let missing = self.buffer.get_mut(known..).unwrap_or_default();
        let read = self.file.read_exact_at(missing, (offset + known) as u64);
        if read.is_err() {
            self.buffer.clear();
        }
        read
    }

    /// The head of a frame at `offset`, if what is there can be one.
    pub(super) fn head(&mut self, offset: usize) -> io::Result<Option<Head>> {
        let segment = self.segment;
        let bytes = self.bytes(offset, HEAD)?.and_then(|bytes| bytes.first_chunk());
        let Some(head) = bytes.and_then(|bytes| Head::read(segment, bytes)) else { return Ok(None) };
        let fits = offset + frame::space(head.length) <= self.capacity as usize;
        Ok(fits.then_some(head))
    }

    /// Whether the entries behind `offset` are those of the head there. Reads them in steps, however long they are.
    pub(super) fn is_whole(&mut self, offset: usize, head: &Head) -> io::Result<bool> {
        let mut sum = head.begin(self.segment);
        let (mut at, end) = (offset + HEAD, offset + HEAD + head.length);
        while at < end {
            let length = (end - at).min(CHUNK);
            match self.bytes(at, length)? {
                Some(bytes) => sum.update(bytes),
                None => return Ok(false),
            }
            at += length;
        }
        Ok(head.is(sum))
    }

    /// The entries of the head at `offset`, if they are its.
    pub(super) fn payload(&mut self, offset: usize, head: &Head) -> io::Result<Option<&[u8]>> {
        let mut sum = head.begin(self.segment);
        let Some(payload) = self.bytes(offset + HEAD, head.length)? else { return Ok(None) };
        sum.update(payload);
        Ok(head.is(sum).then_some(payload))
    }
}
