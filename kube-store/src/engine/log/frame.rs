//! One batch in the log, and how its bytes are told from others.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | length of the entries |
//! | 4 | CRC-32 of the segment's number, all other fields and the entries |
//! | 8 | sequence: one more than that of the frame before |
//! | 4 | sequence less the newest one that was known to be synced when this was written |
//! | 4 | number of the segment less that of the oldest one that is needed |
//! | … | entries: length of the key, length of the value (4 bytes each, all ones: deleted), key, value |
//!
//! Numbers are big-endian. Zeros follow up to a multiple of 8. The segment's number is in the checksum, so what an earlier
//! segment left in a file that is used again is no frame.

use std::io;

use super::super::Batch;

/// Bytes before the entries.
pub(super) const HEAD: usize = 24;
/// Frames start at multiples of this.
pub(super) const ALIGN: usize = 8;
/// Bytes before the key of an entry.
pub(super) const ENTRY: usize = 8;
/// Stands for the length of a value when there is none.
const DELETED: u32 = u32::MAX;
/// Most bytes of a frame: offsets in a segment are numbers of 4 bytes.
const MOST: usize = u32::MAX as usize - (1 << 20);

/// Where a frame stands in the log, and what it tells of the frames before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sequence: u64,
    /// All frames up to this one were synced when it was written.
    pub(super) synced: u64,
    /// No segment before this one is needed.
    pub(super) oldest: u32,
}

/// The fields before the entries, not checked yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) mark: Mark,
    /// Length of the entries.
    pub(super) length: usize,
    sum: u32,
}

/// One entry of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
    /// Where the value starts, counted from the start of the entries.
    pub(super) at: usize,
}

/// Puts the entries of `parts`, one after another, into `buffer`, with room for the head and zeros behind.
pub(super) fn encode(buffer: &mut Vec<u8>, parts: &[&Batch]) -> io::Result<()> {
    buffer.clear();
    buffer.resize(HEAD, 0);
    for (key, value) in parts.iter().flat_map(|part| part.iter()) {
        buffer.extend_from_slice(&length(key)?.to_be_bytes());
        buffer.extend_from_slice(&value.map_or(Ok(DELETED), length)?.to_be_bytes());
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value.unwrap_or_default());
    }
    if buffer.len() > MOST {
        return Err(too_large());
    }
    Ok(())
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).ok().filter(|n| *n != DELETED).ok_or_else(too_large)
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a batch of 4 GiB")
}

/// Bytes that a frame of `length` bytes of entries takes.
pub(super) fn space(length: usize) -> usize {
    (HEAD + length).next_multiple_of(ALIGN)
}

/// Fills in the head of what [`encode`] made, and pads it.
pub(super) fn seal(buffer: &mut Vec<u8>, segment: u32, mark: Mark) {
    let length = u32::try_from(buffer.len() - HEAD).unwrap_or(u32::MAX);
    let unsynced = u32::try_from(mark.sequence - mark.synced).unwrap_or(u32::MAX);
    let Some((head, entries)) = buffer.split_first_chunk_mut::<HEAD>() else { return };
    let mut fields = [0; HEAD - 8];
    fields[..8].copy_from_slice(&mark.sequence.to_be_bytes());
    fields[8..12].copy_from_slice(&unsynced.to_be_bytes());
    fields[12..].copy_from_slice(&(segment - mark.oldest).to_be_bytes());
    head[..4].copy_from_slice(&length.to_be_bytes());
    head[4..8].copy_from_slice(&checksum(segment, length, &fields, entries).to_be_bytes());
    head[8..].copy_from_slice(&fields);
    buffer.resize(buffer.len().next_multiple_of(ALIGN), 0);
}

fn checksum(segment: u32, length: u32, fields: &[u8; HEAD - 8], entries: &[u8]) -> u32 {
    let mut sum = begin(segment, length, fields);
    sum.update(entries);
    sum.finalize()
}

fn begin(segment: u32, length: u32, fields: &[u8; HEAD - 8]) -> crc32fast::Hasher {
    let mut first = [0; HEAD];
    first[..4].copy_from_slice(&segment.to_be_bytes());
    first[4..8].copy_from_slice(&length.to_be_bytes());
    first[8..].copy_from_slice(fields);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&first);
    sum
}

impl Head {
    /// Reads the head of a frame in `segment`; `None` when it can't be one.
    pub(super) fn read(segment: u32, bytes: &[u8; HEAD]) -> Option<Self> {
        let mut rest = bytes.as_slice();
        let (length, sum, sequence) = (take(&mut rest)?, take(&mut rest)?, take_long(&mut rest)?);
        let (unsynced, behind) = (take(&mut rest)?, take(&mut rest)?);
        let synced = sequence.checked_sub(unsynced.into()).filter(|_| unsynced > 0)?;
        let mark = Mark { sequence, synced, oldest: segment.checked_sub(behind)? };
        Some(Self { mark, length: length as usize, sum })
    }

    /// A checksum to which the entries are still to be added.
    pub(super) fn begin(&self, segment: u32) -> crc32fast::Hasher {
        let mut fields = [0; HEAD - 8];
        let unsynced = u32::try_from(self.mark.sequence - self.mark.synced).unwrap_or(u32::MAX);
        fields[..8].copy_from_slice(&self.mark.sequence.to_be_bytes());
        fields[8..12].copy_from_slice(&unsynced.to_be_bytes());
        fields[12..].copy_from_slice(&(segment - self.mark.oldest).to_be_bytes());
        begin(segment, u32::try_from(self.length).unwrap_or(u32::MAX), &fields)
    }

    /// Whether the checksum is this frame's.
    pub(super) fn is(&self, sum: crc32fast::Hasher) -> bool {
        sum.finalize() == self.sum
    }
}

/// Entries in turn; ends early where they make no sense, which a checksum rules out.
pub(super) fn entries(payload: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (key, value) = lengths(&mut rest)?;
        let (key, after) = rest.split_at_checked(key)?;
        let at = payload.len() - after.len();
        let (value, after) = match value {
            Some(length) => after.split_at_checked(length).map(|(value, after)| (Some(value), after))?,
            None => (None, after),
        };
        rest = after;
        Some(Entry { key, value, at })
    })
}

/// The lengths of key and value at the start of an entry.
pub(super) fn lengths(bytes: &mut &[u8]) -> Option<(usize, Option<usize>)> {
    let (key, value) = (take(bytes)?, take(bytes)?);
    Some((key as usize, (value != DELETED).then_some(value as usize)))
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*number))
}
