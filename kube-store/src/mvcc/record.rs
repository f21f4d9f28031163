//! What has to be made durable, and its form on disk: entries of an ordered map.
//!
//! | key | value |
//! |---|---|
//! | `f` | format number, 2 |
//! | `l` lease | time to live in milliseconds, and perhaps what was left of it |
//! | `m` | oldest readable revision |
//! | `s` name | a record beside the keys |
//! | `v` revision, number of the event (4 bytes) | version, create revision, lease, length of the key (4 bytes), key, value |
//!
//! Every value ends with the CRC-32 of key and value, whatever the engine does about damage.
//! Numbers are big-endian and 8 bytes unless said otherwise. A version of 0 says that the key was deleted. The order matters:
//! reading all entries in turn meets leases before the keys bound to them, and revisions as they came.

use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::engine::Batch;
use crate::{Error, KeyValue, Result, Revision};

const FORMAT: i64 = 2;

/// Shorter values than this are copied when they are read: what stands beside them in a record would take too much memory as
/// long as they are there.
const SMALL: usize = 1024;

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The directory has this crate's format.
    Format,
    /// A version of a key, put or (version 0) deleted.
    Write {
        /// Which of the transaction's events it is.
        sub: u32,
        /// The version.
        kv: KeyValue,
    },
    /// A version is no longer needed.
    Drop {
        /// Its revision.
        revision: Revision,
        /// Which of the transaction's events it was.
        sub: u32,
    },
    /// History starts here now.
    Compact {
        /// Oldest readable revision.
        revision: Revision,
    },
    /// A lease exists.
    Grant {
        /// Its identifier.
        id: i64,
        /// Its time to live.
        ttl: Duration,
        /// What was left of that when it was last noted, if that was less; after a start it lives so long.
        left: Option<Duration>,
    },
    /// A lease is gone.
    Revoke {
        /// Its identifier.
        id: i64,
    },
    /// A record beside the keys.
    Record {
        /// Its name.
        key: Bytes,
        /// Its value, `None` when it is gone.
        value: Option<Bytes>,
    },
}

impl Change {
    /// Adds the change to a batch.
    pub(crate) fn encode(&self, batch: &mut Batch) {
        let number = |n: i64| move |buffer: &mut Vec<u8>| buffer.extend_from_slice(&n.to_be_bytes());
        match self {
            Self::Format => put(batch, b"f", number(FORMAT)),
            Self::Write { sub, kv } => encode_version(kv, *sub, batch),
            Self::Drop { revision, sub } => batch.delete(&version_key(*revision, *sub)),
            Self::Compact { revision } => put(batch, b"m", number(*revision)),
            Self::Grant { id, ttl, left } => put(batch, &lease_key(*id), |buffer| {
                for time in [Some(ttl), left.as_ref()].into_iter().flatten() {
                    number(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))(buffer);
                }
            }),
            Self::Revoke { id } => batch.delete(&lease_key(*id)),
            Self::Record { key, value } => {
                let key = [b"s", key.as_ref()].concat();
                match value {
                    Some(value) => put(batch, &key, |buffer| buffer.extend_from_slice(value)),
                    None => batch.delete(&key),
                }
            }
        }
    }

    /// Reads back one entry; refuses one whose checksum is wrong.
    pub(crate) fn decode(key: &[u8], value: Bytes) -> Result<Self> {
        match value.split_last_chunk() {
            Some((body, sum)) if checksum(key, body) == *sum => Self::decode_verified(key, value),
            _ => Err(Error::corrupt(format!("the checksum of entry {} is wrong", key.escape_ascii()))),
        }
    }

    /// Reads back one entry whose bytes are known to be those that were written. What it holds shares memory with `value`.
    pub(crate) fn decode_verified(key: &[u8], mut value: Bytes) -> Result<Self> {
        let change = value.len().checked_sub(size_of::<u32>()).and_then(|length| {
            value.truncate(length);
            decode(key, value)
        });
        change.ok_or_else(|| Error::corrupt(format!("entry {}", key.escape_ascii())))?
    }
}

/// Adds a version of a key, the `sub`th event of its transaction, to a batch.
pub(crate) fn encode_version(kv: &KeyValue, sub: u32, batch: &mut Batch) {
    put(batch, &version_key(kv.mod_revision, sub), |buffer| encode_kv(kv, buffer));
}

/// Adds a put with the checksum behind the value.
fn put(batch: &mut Batch, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
    batch.put(key, |buffer| {
        let start = buffer.len();
        write(buffer);
        let sum = checksum(key, buffer.get(start..).unwrap_or_default());
        buffer.extend_from_slice(&sum);
    });
}

pub(crate) fn checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key);
    sum.update(value);
    sum.finalize().to_be_bytes()
}

fn decode(key: &[u8], body: Bytes) -> Option<Result<Change>> {
    let (kind, mut key) = key.split_first()?;
    let mut value = body.as_ref();
    Some(Ok(match kind {
        b'f' => match take_number(&mut value)? {
            FORMAT => Change::Format,
            other => return Some(Err(Error::corrupt(format!("format {other} is not known")))),
        },
        b'l' => {
            let mut time = || Some(Duration::from_millis(take_number(&mut value)?.try_into().ok()?));
            Change::Grant { id: take_number(&mut key)?, ttl: time()?, left: time() }
        }
        b'm' => Change::Compact { revision: take_number(&mut value)? },
        b's' => Change::Record { key: Bytes::copy_from_slice(key), value: Some(body) },
        b'v' => {
            let (mod_revision, sub) = (take_number(&mut key)?, take_u32(&mut key)?);
            Change::Write { sub, kv: decode_kv(mod_revision, body)? }
        }
        _ => return None,
    }))
}

fn version_key(revision: Revision, sub: u32) -> [u8; 13] {
    let mut key = [b'v'; 13];
    let [_, rest @ ..] = &mut key;
    let (high, low) = rest.split_at_mut(8);
    high.copy_from_slice(&revision.to_be_bytes());
    low.copy_from_slice(&sub.to_be_bytes());
    key
}

fn lease_key(id: i64) -> [u8; 9] {
    let mut key = [b'l'; 9];
    let [_, rest @ ..] = &mut key;
    rest.copy_from_slice(&id.to_be_bytes());
    key
}

fn encode_kv(kv: &KeyValue, buffer: &mut Vec<u8>) {
    buffer.reserve(32 + kv.bytes());
    for number in [kv.version, kv.create_revision, kv.lease] {
        buffer.extend_from_slice(&number.to_be_bytes());
    }
    // A key is never longer than a request.
    buffer.extend_from_slice(&u32::try_from(kv.key.len()).unwrap_or(u32::MAX).to_be_bytes());
    buffer.extend_from_slice(&kv.key);
    buffer.extend_from_slice(&kv.value);
}

fn decode_kv(mod_revision: Revision, mut body: Bytes) -> Option<KeyValue> {
    let mut record = body.as_ref();
    let (version, create_revision) = (take_number(&mut record)?, take_number(&mut record)?);
    let lease = take_number(&mut record)?;
    let length = usize::try_from(take_u32(&mut record)?).ok()?;
    if length == 0 || length > record.len() {
        return None;
    }
    // The key is kept longer than this version, and must not keep its value.
    let key = Bytes::copy_from_slice(record.get(..length)?);
    body.advance(body.len() - record.len() + length);
    let value = if body.len() < SMALL { Bytes::copy_from_slice(&body) } else { body };
    Some(KeyValue { key, value, create_revision, mod_revision, version, lease })
}

fn take_number(bytes: &mut &[u8]) -> Option<i64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i64::from_be_bytes(*number))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}
