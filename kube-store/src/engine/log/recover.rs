//! Reading a log when it is opened: what counts, where it ends, and whether it is damaged.
//!
//! A crash may leave the frames that were being written in any state, and nobody was told that these are there. So the log
//! ends at the first frame that is not whole, unless a frame behind it says that it was synced: then it was whole once, and
//! the disk has lost what it had promised to keep. That is refused, as is a missing segment, and one that is shorter than it
//! was made.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;

use bytes::Bytes;

use super::directory::{Builder, Directory, Place};
use super::disk::{Disk, corrupt};
use super::frame::{self, ALIGN, HEAD, Mark};
use super::kept::{Copier, Kept};
use super::window::{CHUNK, FIRST, Window};

/// How far a segment is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) capacity: u32,
    pub(super) end: u32,
}

/// What a log holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) directory: Directory,
    /// All values of the directory.
    pub(super) kept: Kept,
    pub(super) extents: BTreeMap<u32, Extent>,
    /// The newest frame's.
    pub(super) mark: Mark,
}

/// One segment as far as its frames follow one another.
#[derive(Debug)]
struct Parsed {
    segment: u32,
    extent: Extent,
    first: Option<u64>,
    last: Option<Mark>,
    keys: Vec<u8>,
    /// Length of the key, and what it stands for.
    entries: Vec<(u32, Option<(Place, Bytes)>)>,
    copier: Copier,
}

/// Threads that read segments; each holds one of them in memory until it is its turn.
const READERS: usize = 4;
/// Frames further ahead than this are none: they would have to be written at the same time.
const OVERLAP: u64 = 1 << 20;

/// Reads the log; `None` when there is none.
pub(super) fn recover(disk: &Disk) -> io::Result<Option<Recovered>> {
    let run = newest_run(&disk.segments()?);
    let Some(start) = run.first().copied() else { return Ok(None) };
    let mut log =
        Log { directory: Builder::new(), kept: Kept::default(), extents: BTreeMap::new(), last: None, start };
    if let [only] = run.as_slice() {
        log.add(parse(disk, *only)?);
    } else {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        parse_all(disk, &run, processors.min(READERS), |parsed| log.add(parsed))?;
    }
    log.end(disk, &run).map(Some)
}

/// Reads segments on threads of their own, and hands them to `take` in their order.
fn parse_all(disk: &Disk, run: &[u32], readers: usize, mut take: impl FnMut(Parsed)) -> io::Result<()> {
    std::thread::scope(|scope| {
        let start = |first: usize| {
            let (sender, parsed) = mpsc::sync_channel(0);
            let mut numbers = run.iter().copied().skip(first).step_by(readers);
            // Ends early when nobody wants more.
            scope.spawn(move || numbers.try_for_each(|number| sender.send(parse(disk, number))));
            parsed
        };
        let readers: Vec<_> = (0..readers).map(start).collect();
        run.iter().zip(readers.iter().cycle()).try_for_each(|(_, reader)| {
            let parsed = reader.recv().map_err(|_| io::Error::other("reading a segment panicked"))?;
            parsed.map(&mut take)
        })
    })
}

/// Segments up to the newest without a gap. What lies before a gap was being removed.
fn newest_run(segments: &[u32]) -> Vec<u32> {
    let gap = segments.windows(2).rposition(|pair| matches!(pair, [a, b] if b - a > 1));
    segments.get(gap.map_or(0, |at| at + 1)..).unwrap_or_default().to_vec()
}

fn parse(disk: &Disk, segment: u32) -> io::Result<Parsed> {
    let mut window = Window::open(disk, segment)?;
    let extent = Extent { capacity: window.capacity, end: FIRST as u32 };
    let mut parsed = Parsed {
        segment,
        extent,
        first: None,
        last: None,
        keys: Vec::new(),
        entries: Vec::new(),
        copier: Copier::default(),
    };
    let mut at = FIRST;
    while let Some(head) = window.head(at)? {
        let follows = parsed.last.is_none_or(|last| last.sequence + 1 == head.mark.sequence);
        let Some(payload) = window.payload(at, &head)?.filter(|_| follows) else { break };
        parsed.take(payload, at + HEAD)?;
        parsed.first.get_or_insert(head.mark.sequence);
        parsed.last = Some(head.mark);
        at += frame::space(head.length);
        parsed.extent.end = at as u32;
    }
    Ok(parsed)
}

impl Parsed {
    fn take(&mut self, payload: &[u8], start: usize) -> io::Result<()> {
        let mut whole = 0;
        for entry in frame::entries(payload) {
            self.keys.extend_from_slice(entry.key);
            let value = entry.value.map(|value| {
                // Offsets in a segment fit, as its size does.
                let (offset, length) = ((start + entry.at) as u32, value.len() as u32);
                (Place { segment: self.segment, offset, length }, self.copier.copy(value))
            });
            self.entries.push((entry.key.len() as u32, value));
            whole = entry.at + entry.value.map_or(0, <[u8]>::len);
        }
        if whole == payload.len() {
            return Ok(());
        }
        Err(corrupt(format!("segment {:08x} has a frame of no entries at {start}", self.segment)))
    }
}

/// A log being read.
struct Log {
    directory: Builder,
    kept: Kept,
    extents: BTreeMap<u32, Extent>,
    /// Segment and mark of the newest frame.
    last: Option<(u32, Mark)>,
    start: u32,
}

impl Log {
    /// The sequence that must follow, if it is known.
    fn expected(&self) -> Option<u64> {
        match self.last {
            Some((_, mark)) => Some(mark.sequence + 1),
            None => (self.start == 1).then_some(1),
        }
    }

    /// Takes a segment over, if it goes on where the last one ended.
    fn add(&mut self, parsed: Parsed) {
        let goes_on = self.expected().is_none_or(|expected| parsed.first == Some(expected));
        let Some(mark) = parsed.last.filter(|_| goes_on) else {
            self.extents.insert(parsed.segment, Extent { end: FIRST as u32, ..parsed.extent });
            return;
        };
        self.last = Some((parsed.segment, mark));
        self.extents.insert(parsed.segment, parsed.extent);
        let mut keys = parsed.keys.as_slice();
        for (length, value) in parsed.entries {
            let Some((key, rest)) = keys.split_at_checked(length as usize) else { return };
            keys = rest;
            let old = self.directory.set(key, value.as_ref().map(|(place, _)| *place));
            // Whatever was replaced takes no memory from now on.
            old.and_then(|old| self.kept.take(old));
            if let Some((place, value)) = value {
                self.kept.push(place, value);
            }
        }
    }

    /// Makes sure that nothing is missing, and removes what does not count.
    fn end(mut self, disk: &Disk, run: &[u32]) -> io::Result<Recovered> {
        let (current, mark) = match self.last {
            Some(last) => last,
            None if self.start == 1 => (1, Mark { sequence: 0, synced: 0, oldest: 1 }),
            None => return Err(corrupt(format!("segment {:08x} has lost its frames", self.start))),
        };
        let first = self.extents.iter().find(|(_, extent)| extent.end > FIRST as u32);
        if let Some((first, _)) = first.filter(|(first, _)| **first > mark.oldest) {
            let missing = mark.oldest;
            return Err(corrupt(format!("the log starts in segment {first:08x}, {missing:08x} is missing")));
        }
        for segment in run.iter().copied().filter(|segment| *segment >= current) {
            let from = self.extents.get(&segment).map_or(FIRST, |extent| extent.end as usize);
            refuse_lost(disk, segment, from, mark.sequence + 1, segment == current)?;
        }
        for segment in disk.segments()?.into_iter().filter(|n| *n < mark.oldest || *n > current) {
            disk.remove(segment)?;
            self.extents.remove(&segment);
        }
        disk.sync_dir()?;
        let directory = self.directory.finish();
        Ok(Recovered { directory, kept: self.kept, extents: self.extents, mark })
    }
}

/// Looks for frames behind the end of the log. One that knows of a synced frame that is not there is an error; others were
/// being written when the log ended, and are made unreadable where new ones come to lie beside them.
fn refuse_lost(disk: &Disk, segment: u32, from: usize, next: u64, wipe: bool) -> io::Result<()> {
    let mut window = Window::open(disk, segment)?;
    let mut at = from;
    while let Some(found) = find(&mut window, at, next)? {
        let head = window.head(found)?.filter(|head| (next..next + OVERLAP).contains(&head.mark.sequence));
        let Some(head) = head else {
            at = found + ALIGN;
            continue;
        };
        if !window.is_whole(found, &head)? {
            at = found + ALIGN;
            continue;
        }
        if head.mark.synced >= next {
            let (sequence, synced) = (head.mark.sequence, head.mark.synced);
            return Err(corrupt(format!(
                "frame {next} is damaged or missing: frame {sequence} in segment {segment:08x} at {found} says that {synced} was synced"
            )));
        }
        if wipe {
            disk.write(&disk.open_to_write(segment)?, &[0; HEAD], found as u32)?;
        }
        at = found + frame::space(head.length);
    }
    Ok(())
}

/// The next place where a frame with a sequence from `next` on may start.
fn find(window: &mut Window, from: usize, next: u64) -> io::Result<Option<usize>> {
    let (mut at, capacity) = (from, window.capacity as usize);
    while at + HEAD <= capacity {
        let length = CHUNK.min(capacity - at);
        let Some(bytes) = window.bytes(at, length)? else { return Ok(None) };
        // The sequence is the second word of a frame.
        let words = bytes.chunks_exact(ALIGN).skip(1);
        let sequence = |word: &[u8]| word.first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
        if let Some(place) = words.map(sequence).position(|n| n >= next && n - next < OVERLAP) {
            return Ok(Some(at + place * ALIGN));
        }
        // The last word may be the first of a frame.
        at += length - ALIGN;
    }
    Ok(None)
}
