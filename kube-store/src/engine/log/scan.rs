//! Reading values in the order of their keys, which is nearly that of the log.

use std::io;
use std::ops::Range;
use std::sync::mpsc;

use bytes::Bytes;

use super::directory::{Directory, Place};
use super::disk::{Disk, corrupt};
use super::kept::Kept;
use super::window::Window;
use crate::engine::{Keep, Visit};

/// Segments read at the same time: values that were moved lie elsewhere than their neighbours.
const OPEN: usize = 4;
/// Values handed over at once by the reading thread.
const PART: usize = 1 << 20;
/// Most entries of a part.
const ENTRIES: usize = 8192;
/// With more bytes than this, a thread reads ahead.
const LARGE: u64 = 8 << 20;

/// Visits what is below `prefix`.
pub(super) fn scan(
    disk: &Disk,
    directory: &Directory,
    prefix: &[u8],
    visit: &mut Visit<'_>,
) -> io::Result<()> {
    if directory.bytes() > LARGE {
        return scan_ahead(disk, directory, prefix, visit);
    }
    let mut values = Values { disk, windows: Vec::new() };
    directory.below(prefix).try_for_each(|(key, place)| visit(key, values.get(place)?))
}

/// Visits what is below `prefix` with what was kept of it.
pub(super) fn load(
    disk: &Disk,
    directory: &Directory,
    kept: &mut Kept,
    prefix: &[u8],
    visit: &mut Keep<'_>,
) -> io::Result<()> {
    let mut values = Values { disk, windows: Vec::new() };
    directory.below(prefix).try_for_each(|(key, place)| {
        let value = match kept.take(place) {
            Some(value) => value,
            None => Bytes::copy_from_slice(values.get(place)?),
        };
        visit(key, value)
    })
}

/// Windows into the segments that values were read from last.
struct Values<'a> {
    disk: &'a Disk,
    windows: Vec<Window>,
}

impl Values<'_> {
    fn get(&mut self, place: Place) -> io::Result<&[u8]> {
        match self.windows.iter().position(|window| window.segment == place.segment) {
            Some(0) => {}
            Some(at) => self.windows.swap(0, at),
            None => {
                self.windows.truncate(OPEN - 1);
                self.windows.insert(0, Window::open(self.disk, place.segment)?);
            }
        }
        let window = self.windows.first_mut();
        let window = window.ok_or_else(|| corrupt("no segment is open".into()))?;
        let value = window.bytes(place.offset as usize, place.length as usize)?;
        value.ok_or_else(|| corrupt("a value lies behind its segment".into()))
    }
}

/// Some entries in turn.
#[derive(Default)]
struct Part<'a> {
    bytes: Vec<u8>,
    entries: Vec<(&'a [u8], Range<usize>)>,
}

fn scan_ahead(disk: &Disk, directory: &Directory, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
    std::thread::scope(|scope| {
        let (sender, parts) = mpsc::sync_channel(1);
        let (give_back, used) = mpsc::channel();
        scope.spawn(move || read(disk, directory, prefix, &sender, &used));
        parts.iter().try_for_each(|part: io::Result<Part<'_>>| {
            let mut part = part?;
            for (key, range) in part.entries.drain(..) {
                visit(key, part.bytes.get(range).unwrap_or_default())?;
            }
            part.bytes.clear();
            // The reader may have ended.
            let _ = give_back.send(part);
            Ok(())
        })
    })
}

/// Reads until all is read, something fails, or nobody wants more.
fn read<'a>(
    disk: &Disk,
    directory: &'a Directory,
    prefix: &'a [u8],
    sender: &mpsc::SyncSender<io::Result<Part<'a>>>,
    used: &mpsc::Receiver<Part<'a>>,
) {
    let mut values = Values { disk, windows: Vec::new() };
    let mut part = Part::default();
    for (key, place) in directory.below(prefix) {
        let start = part.bytes.len();
        match values.get(place) {
            Ok(value) => part.bytes.extend_from_slice(value),
            Err(error) => {
                // Whoever went away does not want to know.
                let _ = sender.send(Err(error));
                return;
            }
        }
        part.entries.push((key, start..part.bytes.len()));
        if part.bytes.len() >= PART || part.entries.len() >= ENTRIES {
            if sender.send(Ok(part)).is_err() {
                return;
            }
            part = used.try_recv().unwrap_or_default();
        }
    }
    let _ = sender.send(Ok(part));
}
