//! What reads bytes that anybody may have written, fed with any: for fuzzers and property tests. None may panic, and none
//! may take much more memory than it is given bytes.
//!
//! [`Decoder::ALL`] lists them with bytes that they take, to begin with for who changes bytes at random. A test does that for
//! a moment; the crate in `kube-store/fuzz` has a target of each name for as long as one likes. From there, with `cargo-fuzz`:
//! `cargo +nightly fuzz run wire`; without it, `./run.sh wire` with any compiler.

use tokio::time::Instant;

use crate::engine::{Batch, Engine, MemoryEngine};
use crate::mvcc::{self, State};
#[cfg(all(feature = "server", feature = "raft"))]
use crate::{DeleteRequest, PutRequest, TxnRequest};

/// A decoder, and what it takes.
#[derive(Debug, Clone, Copy)]
#[cfg(all(feature = "server", feature = "raft"))]
pub struct Decoder {
    /// Also that of its fuzz target.
    pub name: &'static str,
    /// Feeds it; answers whether the bytes were something whole.
    pub feed: fn(&[u8]) -> bool,
    /// Bytes that are.
    pub valid: fn() -> Vec<Vec<u8>>,
}

#[cfg(all(feature = "server", feature = "raft"))]
impl Decoder {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self { name: "wire", feed: wire, valid: crate::etcd::server::valid_requests },
        Self { name: "log_record", feed: log_record, valid: valid_log },
        Self { name: "snapshot", feed: snapshot, valid: || vec![crate::etcd::server::valid_snapshot()] },
        Self { name: "peer", feed: peer, valid: crate::raft::valid_frames },
        Self {
            name: "peer_snapshot",
            feed: peer_snapshot,
            valid: || vec![crate::raft::valid_snapshot(&state())],
        },
        Self { name: "token", feed: token, valid: || vec![crate::etcd::server::valid_token()] },
    ];
}

/// Takes a field that starts with its length in one byte.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first()?;
    let (field, rest) = rest.split_at_checked(usize::from(*length))?;
    *bytes = rest;
    Some(field)
}

/// Opens a store on records made of `bytes`: keys and values in turn, each after a byte with its length.
pub fn log_record(mut bytes: &[u8]) -> bool {
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
    engine.commit(&batch).is_ok() && State::load(&engine, Instant::now()).is_ok()
}

/// Decodes `bytes` as every request of the etcd API and takes it as far as the store.
#[cfg(feature = "server")]
pub fn wire(bytes: &[u8]) -> bool {
    crate::etcd::server::decode_requests(bytes)
}

/// Restores a snapshot made of `bytes`, and opens a store on it.
#[cfg(feature = "server")]
pub fn snapshot(bytes: &[u8]) -> bool {
    let mut engine = MemoryEngine::default();
    crate::etcd::server::fill(std::io::Cursor::new(bytes), bytes.len() as u64, &mut engine).is_ok()
        && State::load(&engine, Instant::now()).is_ok()
}

/// Takes `bytes` for what another member sends, and for what the log of a group holds.
#[cfg(feature = "raft")]
pub fn peer(bytes: &[u8]) -> bool {
    crate::raft::decode_peer(bytes)
}

/// Takes `bytes` for a snapshot of another member, in parts of any size.
#[cfg(feature = "raft")]
pub fn peer_snapshot(bytes: &[u8]) -> bool {
    crate::raft::decode_snapshot(bytes)
}

/// Takes `bytes` for the token of a user.
#[cfg(feature = "server")]
pub fn token(bytes: &[u8]) -> bool {
    crate::etcd::server::decode_token(bytes)
}

/// A store with something of each kind in it.
#[cfg(all(feature = "server", feature = "raft"))]
fn state() -> State {
    let mut state = State::new(true);
    // Nothing of this can fail, and if it did the store would have less in it.
    let _ = state.grant(7, std::time::Duration::from_secs(60), Instant::now());
    let puts =
        ["a", "b", "c"].map(|key| PutRequest::new(key, "one").with_lease(if key == "a" { 7 } else { 0 }));
    let _ = state.apply(TxnRequest::of(puts.map(Into::into)));
    let _ = state.apply(TxnRequest::of([PutRequest::new("a", "two").into(), DeleteRequest::key("b").into()]));
    state.publish(i64::MAX);
    state
}

/// The records of such a store, as [`log_record`] takes them.
#[cfg(all(feature = "server", feature = "raft"))]
fn valid_log() -> Vec<Vec<u8>> {
    let mut batch = Batch::default();
    state().encode_changes(&mut batch);
    let mut bytes = Vec::new();
    for (key, value) in batch.iter() {
        let Some((value, _sum)) = value.and_then(|value| value.split_last_chunk::<4>()) else { continue };
        for part in [key, value] {
            bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(part);
        }
    }
    vec![bytes]
}
