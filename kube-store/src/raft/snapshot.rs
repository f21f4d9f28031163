//! The whole state as a stream of bytes: for a member that is too far behind to be sent the log, and for a new one.
//!
//! | what | form |
//! |---|---|
//! | version | 1 byte |
//! | what is applied | length, bytes |
//! | each record of the store | length, key, length, value |
//! | end | a length of 0, then a checksum of all before it |
//!
//! Neither who sends nor who receives it holds it whole.

use bytes::{Buf, Bytes, BytesMut};
use crc32fast::Hasher;
use tokio::time::Instant;

use super::codec::{Reader, Writer, damaged};
use super::record::{Applied, decode_applied, encode_applied};
use crate::Result;
use crate::engine::Batch;
use crate::mvcc::{Change, Dump, Loader, State};

const VERSION: u8 = 2;
/// Bytes of a checksum, and of a length.
const WORD: usize = 4;

/// Makes a snapshot, a part at a time.
#[derive(Debug)]
pub(super) struct Source {
    dump: Option<Dump>,
    made: BytesMut,
    batch: Batch,
    sum: Hasher,
}

impl Source {
    /// Of the state as it is now, which must not be swept before the last part was made.
    pub(super) fn new(state: &State, applied: &Applied) -> Self {
        let mut head = Writer::default();
        encode_applied(&mut head, applied);
        let mut source = Self {
            dump: Some(Dump::new(state)),
            made: BytesMut::new(),
            batch: Batch::default(),
            sum: Hasher::new(),
        };
        source.add(&[VERSION]);
        source.add_field(&head.finish());
        source
    }

    /// The next part, of `size` bytes unless it is the last, and whether it is that.
    pub(super) fn part(&mut self, state: &State, size: usize) -> (Bytes, bool) {
        while self.made.len() < size
            && let Some(dump) = &mut self.dump
        {
            match dump.next(state) {
                Some(change) => self.add_change(&change),
                None => self.end(),
            }
        }
        let part = self.made.split_to(size.min(self.made.len())).freeze();
        (part, self.dump.is_none() && self.made.is_empty())
    }

    fn add_change(&mut self, change: &Change) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        change.encode(&mut batch);
        for (key, value) in batch.iter() {
            self.add_field(key);
            self.add_field(value.unwrap_or_default());
        }
        self.batch = batch;
    }

    fn end(&mut self) {
        self.dump = None;
        self.add_field(&[]);
        let sum = std::mem::take(&mut self.sum).finalize();
        self.made.extend_from_slice(&sum.to_be_bytes());
    }

    fn add_field(&mut self, bytes: &[u8]) {
        // Whatever is encoded was bounded before.
        self.add(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
        self.made.extend_from_slice(bytes);
    }
}

/// Takes a snapshot in parts, and makes a state of it.
pub(super) struct Sink {
    /// What came and does not make a record yet.
    rest: BytesMut,
    sum: Hasher,
    applied: Option<Applied>,
    key: Option<Bytes>,
    loader: Loader,
    ended: bool,
    largest: usize,
}

impl Sink {
    /// Refuses records of more than `largest` bytes. Leases start their time to live again at `now`.
    pub(super) fn new(largest: usize, now: Instant) -> Self {
        Self {
            rest: BytesMut::new(),
            sum: Hasher::new(),
            applied: None,
            key: None,
            loader: Loader::new(now),
            ended: false,
            largest,
        }
    }

    /// Takes the next bytes; refuses what makes no sense.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        while !self.ended && self.step()? {}
        if self.ended && self.rest.len() > WORD { Err(damaged()) } else { Ok(()) }
    }

    /// The state and how far it is applied, if everything came.
    pub(super) fn finish(mut self) -> Result<(Applied, State)> {
        let applied = self.applied.take().ok_or_else(damaged)?;
        if !self.ended || self.rest.try_get_u32().ok() != Some(self.sum.finalize()) {
            return Err(damaged());
        }
        Ok((applied, self.loader.finish()?))
    }

    /// Takes one field, if it is there.
    fn step(&mut self) -> Result<bool> {
        let version = usize::from(self.applied.is_none());
        let Some(length) = self.rest.get(version..).and_then(|rest| rest.first_chunk::<WORD>()) else {
            return Ok(false);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.largest {
            return Err(damaged());
        }
        let whole = version + WORD + length;
        if self.rest.len() < whole {
            return Ok(false);
        }
        let mut field = self.rest.split_to(whole).freeze();
        self.sum.update(&field);
        if version > 0 && field.get_u8() != VERSION {
            return Err(damaged());
        }
        field.advance(WORD);
        self.take(field)?;
        Ok(true)
    }

    fn take(&mut self, field: Bytes) -> Result<()> {
        if self.applied.is_none() {
            let mut r = Reader::new(field);
            self.applied = Some(decode_applied(&mut r)?);
            return r.end();
        }
        match self.key.take() {
            // In memory of its own: what it came in holds others too.
            Some(key) => self.loader.add(Change::decode(&key, Bytes::copy_from_slice(&field))?),
            None if field.is_empty() => {
                self.ended = true;
                Ok(())
            }
            None => {
                self.key = Some(field);
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("applied", &self.applied).finish_non_exhaustive()
    }
}
