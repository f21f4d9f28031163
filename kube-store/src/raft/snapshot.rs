//! The whole state as bytes: for a member that is too far behind to be sent the log, and for a new one.

use bytes::Bytes;
use tokio::time::Instant;

use super::codec::{Reader, Writer, damaged};
use super::record::{Applied, decode_applied, encode_applied};
use crate::Result;
use crate::engine::Batch;
use crate::mvcc::{Change, State};

const VERSION: u8 = 1;

/// What is applied and the store as of then, with a checksum.
pub(super) fn encode(state: &State, applied: &Applied) -> Bytes {
    let mut w = Writer::default();
    w.u8(VERSION);
    encode_applied(&mut w, applied);
    for (key, value) in records(state).iter() {
        w.bytes(key);
        w.bytes(value.unwrap_or_default());
    }
    w.sealed()
}

/// Whether the bytes are a snapshot that arrived whole.
pub(super) fn is_whole(bytes: &Bytes) -> bool {
    Reader::unsealed(bytes.clone()).is_ok()
}

/// Reads a snapshot back. Leases start their time to live again.
pub(super) fn decode(bytes: Bytes, now: Instant) -> Result<(Applied, State)> {
    let mut r = Reader::unsealed(bytes)?;
    if r.u8()? != VERSION {
        return Err(damaged());
    }
    let applied = decode_applied(&mut r)?;
    let mut changes = Vec::new();
    while r.end().is_err() {
        changes.push(Change::decode(&r.bytes()?, &r.bytes()?)?);
    }
    Ok((applied, State::rebuild(changes, now)?))
}

/// The batch that puts a state where another one was.
pub(super) fn replace(old: &mut State, new: &State, batch: &mut Batch) {
    let fresh = records(new);
    let kept: std::collections::BTreeSet<&[u8]> = fresh.iter().map(|(key, _)| key).collect();
    let mut gone = Batch::default();
    // What the old state was about to delete is still on the disk.
    old.take_changes().1.iter().for_each(|change| change.encode(&mut gone));
    old.dump().iter().for_each(|change| change.encode(&mut gone));
    let gone: std::collections::BTreeSet<&[u8]> =
        gone.iter().map(|(key, _)| key).filter(|key| !kept.contains(key)).collect();
    gone.into_iter().for_each(|key| batch.delete(key));
    for (key, value) in fresh.iter() {
        batch.put(key, |buffer| buffer.extend_from_slice(value.unwrap_or_default()));
    }
}

fn records(state: &State) -> Batch {
    let mut batch = Batch::default();
    state.dump().iter().for_each(|change| change.encode(&mut batch));
    batch
}
