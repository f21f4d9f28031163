//! What reads bytes that anybody may have written, fed with any: for fuzzers and property tests. None may panic, and none
//! may take much more memory than it is given bytes.

use tokio::time::Instant;

use crate::engine::{Batch, Engine, MemoryEngine};
use crate::mvcc::{self, State};

/// Takes a field that starts with its length in one byte.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first()?;
    let (field, rest) = rest.split_at_checked(usize::from(*length))?;
    *bytes = rest;
    Some(field)
}

/// Opens a store on records made of `bytes`: keys and values in turn, each after a byte with its length.
pub fn log_record(mut bytes: &[u8]) {
    let (mut engine, mut batch) = (MemoryEngine::default(), Batch::default());
    let mut put = |key: &[u8], value: &[u8]| {
        batch.put(key, |buffer| {
            buffer.extend_from_slice(value);
            buffer.extend_from_slice(&mvcc::checksum(key, value));
        });
    };
    put(b"f", &2i64.to_be_bytes());
    while let (Some(key), Some(value)) = (field(&mut bytes), field(&mut bytes)) {
        put(key, value);
    }
    // What the records say is wrong more often than not.
    let _ = engine.commit(&batch);
    let _ = State::load(&engine, Instant::now());
}

/// Decodes `bytes` as every request of the etcd API and takes it as far as the store.
#[cfg(feature = "server")]
pub fn wire(bytes: &[u8]) {
    crate::etcd::server::decode_requests(bytes);
}

/// Restores a snapshot made of `bytes`, and opens a store on it.
#[cfg(feature = "server")]
pub fn snapshot(bytes: &[u8]) {
    let mut engine = MemoryEngine::default();
    if crate::etcd::server::fill(std::io::Cursor::new(bytes), bytes.len() as u64, &mut engine).is_ok() {
        let _ = State::load(&engine, Instant::now());
    }
}

/// Takes `bytes` for what another member sends, and for what the log of a group holds.
#[cfg(feature = "raft")]
pub fn peer(bytes: &[u8]) {
    crate::raft::decode_peer(bytes);
}

/// Takes `bytes` for a snapshot of another member, in parts of any size.
#[cfg(feature = "raft")]
pub fn peer_snapshot(bytes: &[u8]) {
    crate::raft::decode_snapshot(bytes);
}

/// Takes `bytes` for the token of a user.
#[cfg(feature = "server")]
pub fn token(bytes: &[u8]) {
    crate::etcd::server::decode_token(bytes);
}
