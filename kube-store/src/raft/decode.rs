//! What comes from other members, of any bytes.

use bytes::Bytes;
use protobuf::Message as _;
use raft::prelude::Message;
use tokio::time::Instant;

use super::codec::{Reader, Writer};
use super::command::Command;
use super::record::decode_applied;
use super::snapshot::Sink;
use super::wire::Frame;

/// Decodes `bytes` as a frame with the right checksum, as a proposal, and as what is applied.
pub(crate) fn decode_peer(bytes: &[u8]) {
    let mut frame = Writer::default();
    frame.raw(bytes);
    if let Ok((_, Frame::Raft(message))) = Frame::decode(frame.sealed(), 0) {
        let _ = Message::parse_from_bytes(&message);
    }
    let _ = Command::decode(Bytes::copy_from_slice(bytes));
    let _ = decode_applied(&mut Reader::new(Bytes::copy_from_slice(bytes)));
}

/// Decodes `bytes` as a snapshot whose parts are as long as its first byte says.
pub(crate) fn decode_snapshot(bytes: &[u8]) {
    let mut sink = Sink::new(bytes.len(), Instant::now());
    let size = usize::from(bytes.first().copied().unwrap_or(0)) + 1;
    if bytes.chunks(size).try_for_each(|part| sink.add(part)).is_ok() {
        let _ = sink.finish();
    }
}
