//! What a member keeps on its disk beside the store's own records.
//!
//! | key | value |
//! |---|---|
//! | `r` `a` | applied index and its term, members, and raft's view of them |
//! | `r` `e` index | log entry: term, type, context, data |
//! | `r` `h` | term, vote, committed index |
//! | `r` `i` | group, member |
//! | `r` `o` | index and term of what this member has lost: it votes for nobody who has less |
//! | `r` `s` | index and term of a snapshot that is being put in place: all but `r` `h`, `r` `i` and `r` `o` means nothing |
//! | `r` `t` | index and term of the newest entry that was dropped |
//!
//! Every value ends with a checksum of key and value. All of a batch is written or nothing, by the engine's contract, so the
//! applied index and the store's records always fit.

use std::io;

use bytes::Bytes;
use raft::prelude::{ConfState, Entry, EntryType, HardState};

use super::codec::{Reader, Writer, damaged};
use super::members::Members;
use crate::engine::{Batch, Engine};
use crate::{Error, Result};

/// First byte of all keys here.
const PREFIX: u8 = b'r';

/// Key of the mark of a snapshot that is being put in place.
const MARK: &[u8] = b"rs";
/// Key of the place up to which this member has lost what it had.
const LOST: &[u8] = b"ro";

/// A position in the log.
/// A position is further than another if its term is newer, or its index in the same term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// What is applied, and who the members are since then.
#[derive(Debug, Clone, Default)]
pub(super) struct Applied {
    pub(super) at: Position,
    pub(super) members: Members,
    pub(super) conf: ConfState,
}

/// What is on the disk of a member.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) identity: Option<(u64, u64)>,
    pub(super) hard: HardState,
    pub(super) applied: Applied,
    pub(super) truncated: Position,
    pub(super) entries: Vec<Entry>,
    /// The place of a snapshot that was being put in place.
    pub(super) interrupted: Option<Position>,
    /// Up to where this member has lost what it had.
    pub(super) lost: Option<Position>,
}

pub(super) fn put_identity(batch: &mut Batch, cluster: u64, member: u64) {
    put(batch, b"ri", |w| {
        w.u64(cluster);
        w.u64(member);
    });
}

pub(super) fn put_hard(batch: &mut Batch, hard: &HardState) {
    put(batch, b"rh", |w| [hard.term, hard.vote, hard.commit].into_iter().for_each(|n| w.u64(n)));
}

/// Says that a snapshot is being put in place.
pub(super) fn put_mark(batch: &mut Batch, at: Position) {
    put(batch, MARK, |w| put_position(w, at));
}

/// Says that it is.
pub(super) fn delete_mark(batch: &mut Batch) {
    batch.delete(MARK);
}

/// Says up to where this member has lost what it had.
pub(super) fn put_lost(batch: &mut Batch, at: Position) {
    put(batch, LOST, |w| put_position(w, at));
}

/// Says that it has as much again.
pub(super) fn delete_lost(batch: &mut Batch) {
    batch.delete(LOST);
}

pub(super) fn put_truncated(batch: &mut Batch, at: Position) {
    put(batch, b"rt", |w| put_position(w, at));
}

pub(super) fn put_applied(batch: &mut Batch, applied: &Applied) {
    put(batch, b"ra", |w| encode_applied(w, applied));
}

pub(super) fn put_entry(batch: &mut Batch, entry: &Entry) {
    put(batch, &entry_key(entry.index), |w| {
        w.u64(entry.term);
        w.u8(match entry.get_entry_type() {
            EntryType::EntryNormal => 0,
            EntryType::EntryConfChange => 1,
            EntryType::EntryConfChangeV2 => 2,
        });
        w.bytes(&entry.context);
        w.raw(&entry.data);
    });
}

pub(super) fn delete_entry(batch: &mut Batch, index: u64) {
    batch.delete(&entry_key(index));
}

pub(super) fn encode_applied(w: &mut Writer, applied: &Applied) {
    put_position(w, applied.at);
    applied.members.put(w);
    let conf = &applied.conf;
    for ids in [&conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next] {
        w.list(ids, |w, id| w.u64(*id));
    }
    w.bool(conf.auto_leave);
}

pub(super) fn decode_applied(r: &mut Reader) -> Result<Applied> {
    let (at, members) = (take_position(r)?, Members::take(r)?);
    let mut conf = ConfState { voters: r.list(Reader::u64)?, ..ConfState::default() };
    conf.learners = r.list(Reader::u64)?;
    conf.voters_outgoing = r.list(Reader::u64)?;
    conf.learners_next = r.list(Reader::u64)?;
    conf.auto_leave = r.bool()?;
    Ok(Applied { at, members, conf })
}

fn put_position(w: &mut Writer, at: Position) {
    w.u64(at.index);
    w.u64(at.term);
}

fn take_position(r: &mut Reader) -> Result<Position> {
    Ok(Position { index: r.u64()?, term: r.u64()? })
}

fn entry_key(index: u64) -> [u8; 10] {
    let mut key = [b'e'; 10];
    let [first, _, rest @ ..] = &mut key;
    *first = PREFIX;
    rest.copy_from_slice(&index.to_be_bytes());
    key
}

fn put(batch: &mut Batch, key: &[u8], write: impl FnOnce(&mut Writer)) {
    let mut w = Writer::default();
    w.raw(key);
    write(&mut w);
    let sealed = w.sealed();
    batch.put(key, |buffer| buffer.extend_from_slice(sealed.get(key.len()..).unwrap_or_default()));
}

/// Reads what a member has on its disk; refuses what is damaged or does not fit together.
pub(super) fn load(engine: &dyn Engine) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    scan(engine, &[PREFIX], |key, value| loaded.add(key, value))?;
    if loaded.interrupted.is_some() {
        let Loaded { identity, hard, interrupted, lost, .. } = loaded;
        let hard = HardState { commit: 0, ..hard };
        return Ok(Loaded { identity, hard, interrupted, lost: lost.max(interrupted), ..Loaded::default() });
    }
    loaded.check()?;
    Ok(loaded)
}

/// The keys of all records but those that mean something beside the mark.
pub(super) fn litter(engine: &dyn Engine) -> Result<Vec<Bytes>> {
    let mut keys = Vec::new();
    for prefix in [&[b"re".as_slice()], OF_THE_STORE.as_slice()].concat() {
        scan(engine, prefix, |key, _| {
            keys.push(Bytes::copy_from_slice(key));
            Ok(())
        })?;
    }
    Ok(keys)
}

/// Which member of which group is on a disk.
pub(super) fn identity(engine: &dyn Engine) -> Result<Option<(u64, u64)>> {
    let mut loaded = Loaded::default();
    scan(engine, b"ri", |key, value| loaded.add(key, value))?;
    Ok(loaded.identity)
}

/// Visits every record below a prefix with errors of ours.
fn scan(engine: &dyn Engine, prefix: &[u8], mut visit: impl FnMut(&[u8], Bytes) -> Result<()>) -> Result<()> {
    let mut outcome = Ok(());
    let scanned = engine.load(prefix, &mut |key, value| {
        outcome = visit(key, value);
        // The scan only has to stop; the reason is kept outside.
        if outcome.is_err() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    });
    outcome?;
    scanned.map_err(Error::storage)
}

impl Loaded {
    fn add(&mut self, key: &[u8], value: Bytes) -> Result<()> {
        let mut r = Reader::unsealed_behind(key, value)?;
        let kind = match key {
            [_, b'e', index @ ..] => {
                let index = index.try_into().map_err(|_| damaged())?;
                return self.add_entry(u64::from_be_bytes(index), r);
            }
            [_, kind] => *kind,
            _ => return Err(damaged()),
        };
        match kind {
            b'a' => self.applied = decode_applied(&mut r)?,
            b'h' => {
                self.hard =
                    HardState { term: r.u64()?, vote: r.u64()?, commit: r.u64()?, ..HardState::default() }
            }
            b'i' => self.identity = Some((r.u64()?, r.u64()?)),
            b'o' => self.lost = Some(take_position(&mut r)?),
            b's' => self.interrupted = Some(take_position(&mut r)?),
            b't' => self.truncated = take_position(&mut r)?,
            _ => return Err(damaged()),
        }
        r.end()
    }

    fn add_entry(&mut self, index: u64, mut r: Reader) -> Result<()> {
        let mut entry = Entry { index, term: r.u64()?, ..Entry::default() };
        entry.set_entry_type(match r.u8()? {
            0 => EntryType::EntryNormal,
            1 => EntryType::EntryConfChange,
            2 => EntryType::EntryConfChangeV2,
            _ => return Err(damaged()),
        });
        entry.context = r.bytes()?;
        entry.data = r.rest();
        self.entries.push(entry);
        Ok(())
    }

    /// The parts are written together, so they must agree.
    fn check(&self) -> Result<()> {
        let mut last = self.truncated;
        for entry in &self.entries {
            if entry.index != last.index + 1 || entry.term < last.term {
                return Err(Error::corrupt(format!("log entry {} follows {}", entry.index, last.index)));
            }
            last = Position { index: entry.index, term: entry.term };
        }
        let (applied, commit) = (self.applied.at.index, self.hard.commit);
        if applied < self.truncated.index
            || commit < applied
            || commit > last.index
            || self.hard.term < last.term
        {
            return Err(Error::corrupt(format!(
                "log {}..={}, applied {applied}, committed {commit}",
                self.truncated.index, last.index
            )));
        }
        Ok(())
    }
}

/// First bytes of the keys that are the store's, in order.
pub(super) const OF_THE_STORE: [&[u8]; 5] = [b"f", b"l", b"m", b"s", b"v"];
