//! Writing frames, and having a segment to write them in.

use std::fs::File;
use std::io;
use std::thread::JoinHandle;

use super::LogEngine;
use super::directory::Place;
use super::disk::{Disk, HEADER};
use super::frame::{self, HEAD, Mark};
use super::recover::Extent;

/// A segment that is larger than asked for by a batch is a multiple of this.
const PAGE: u32 = 4096;

/// The next segment being made on a thread.
#[derive(Debug)]
pub(super) struct Preparing {
    capacity: u32,
    thread: JoinHandle<io::Result<File>>,
}

impl Preparing {
    fn start(disk: Disk, segment: u32, capacity: u32, retired: Option<u32>) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name("kube-store-log".into());
        let thread = thread.spawn(move || disk.create(segment, capacity, retired))?;
        Ok(Self { capacity, thread })
    }

    /// Waits until nothing is done to files any more.
    #[cfg(test)]
    pub(super) fn wait(&self) {
        while !self.thread.is_finished() {
            std::thread::yield_now();
        }
    }

    /// Waits for the segment.
    pub(super) fn finish(self) -> io::Result<(File, u32)> {
        let file = self.thread.join().map_err(|_| io::Error::other("making a segment panicked"))?;
        file.map(|file| (file, self.capacity))
    }
}

impl LogEngine {
    /// Writes the frame in the buffer and takes its entries over.
    pub(super) fn append(&mut self) -> io::Result<()> {
        let space = frame::space(self.buffer.len() - HEAD);
        if self.room() < space {
            self.roll(space)?;
        }
        let needed = self.directory.first().unwrap_or(self.current);
        let mark = Mark {
            sequence: self.mark.sequence + 1,
            synced: self.mark.sequence,
            oldest: needed.max(self.mark.oldest),
        };
        let length = self.buffer.len();
        frame::seal(&mut self.buffer, self.current, mark);
        let Some(extent) = self.extents.get_mut(&self.current) else { return Err(missing()) };
        self.disk.write(&self.file, &self.buffer, extent.end)?;
        let start = extent.end + HEAD as u32;
        extent.end += space as u32;
        self.mark = mark;
        for entry in frame::entries(self.buffer.get(HEAD..length).unwrap_or_default()) {
            let place = entry.value.map(|value| Place {
                segment: self.current,
                offset: start + entry.at as u32,
                length: value.len() as u32,
            });
            self.directory.set(entry.key, place);
        }
        Ok(())
    }

    /// Bytes left in the current segment.
    fn room(&self) -> usize {
        self.extents.get(&self.current).map_or(0, |extent| (extent.capacity - extent.end) as usize)
    }

    /// Goes on in the next segment, which must have room for `space` bytes.
    pub(super) fn roll(&mut self, space: usize) -> io::Result<()> {
        let next = self.next()?;
        let wanted = self.capacity(space);
        let ready = self.preparing.take().map(Preparing::finish).transpose()?;
        let (file, capacity) = match ready {
            Some((file, capacity)) if (capacity - HEADER) as usize >= space => (file, capacity),
            _ => (self.disk.create(next, wanted, None)?, wanted),
        };
        self.file = file;
        self.current = next;
        self.extents.insert(next, Extent { capacity, end: HEADER });
        Ok(())
    }

    /// Starts to make the next segment when the current one is half full.
    pub(super) fn prepare_ahead(&mut self) -> io::Result<()> {
        let half = self.extents.get(&self.current).is_some_and(|extent| extent.end > extent.capacity / 2);
        if half && self.preparing.is_none() {
            let (next, capacity) = (self.next()?, self.capacity(0));
            let (disk, retired) = (self.disk.clone(), self.retired.take());
            self.preparing = Some(Preparing::start(disk, next, capacity, retired)?);
        }
        Ok(())
    }

    /// Lets go of the segments that the newest frame, which is synced, says are not needed.
    pub(super) fn retire(&mut self) {
        while let Some(first) = self.extents.first_entry()
            && *first.key() < self.mark.oldest
        {
            let segment = first.remove_entry().0;
            let spare = self.retired.replace(segment);
            if let Some(Err(error)) = spare.map(|spare| self.disk.remove(spare)) {
                tracing::warn!(%error, "a segment that is not needed was not removed");
            }
        }
    }

    fn next(&self) -> io::Result<u32> {
        self.current.checked_add(1).ok_or_else(|| io::Error::other("all numbers of segments are used"))
    }

    /// Size of the next segment: as large as the log, within limits, and large enough for a frame.
    fn capacity(&self, space: usize) -> u32 {
        let log = if self.shrinking.is_some() { self.directory.bytes() } else { self.used() };
        let log = u32::try_from(log).unwrap_or(u32::MAX).checked_next_power_of_two();
        let usual = log.unwrap_or(self.sizes.most).clamp(self.sizes.least, self.sizes.most);
        // A frame is never as long as to reach the end of these numbers.
        let needed = u32::try_from(space).unwrap_or(u32::MAX).saturating_add(HEADER);
        usual.max(needed.checked_next_multiple_of(PAGE).unwrap_or(u32::MAX))
    }
}

fn missing() -> io::Error {
    io::Error::other("the segment being written is not known")
}
