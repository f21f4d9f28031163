//! What comes from other members, of any bytes; and bytes that are taken.

use bytes::Bytes;
use protobuf::Message as _;
use raft::prelude::Message;
use tokio::time::Instant;

use super::codec::{Reader, Writer};
use super::command::Command;
use super::command::RequestId;
use super::record::{Applied, decode_applied};
use super::snapshot::{Sink, Source};
use super::wire::{Frame, Refusal};
use crate::mvcc::State;
use crate::{Compare, DeleteRequest, PutRequest, TxnRequest};

/// Decodes `bytes` as a frame with the right checksum, as a proposal, and as what is applied; answers whether it is one of them.
pub(crate) fn decode_peer(bytes: &[u8]) -> bool {
    let mut frame = Writer::default();
    frame.raw(bytes);
    let frame = Frame::decode(frame.sealed(), 0);
    let is_frame = match frame {
        Ok((_, Frame::Raft(message))) => Message::parse_from_bytes(&message).is_ok(),
        other => other.is_ok(),
    };
    let is_command = Command::decode(Bytes::copy_from_slice(bytes)).is_ok();
    let is_applied = decode_applied(&mut Reader::new(Bytes::copy_from_slice(bytes))).is_ok();
    is_frame || is_command || is_applied
}

/// Decodes `bytes` as a snapshot whose parts are as long as its first byte says; answers whether it is whole.
pub(crate) fn decode_snapshot(bytes: &[u8]) -> bool {
    let mut sink = Sink::new(bytes.len(), Instant::now());
    let size = usize::from(bytes.first().copied().unwrap_or(0)) + 1;
    bytes.chunks(size).try_for_each(|part| sink.add(part)).is_ok() && sink.finish().is_ok()
}

/// Frames, without their checksum, and commands.
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "the table of decoders needs both features"))]
pub(crate) fn valid_frames() -> Vec<Vec<u8>> {
    let request = RequestId { member: 2, nonce: 3, number: 4 };
    let txn = TxnRequest::default()
        .when(Compare::mod_revision_eq("a", 7))
        .and_then(PutRequest::new("a", "one").with_lease(7))
        .or_else(DeleteRequest::key("b"));
    let commands = [Command::Txn(txn), Command::Compact(7), Command::KeepAlive(7)];
    let commands: Vec<Bytes> = commands.iter().map(|command| command.encode(request)).collect();
    let message = Message { from: 2, to: 1, term: 3, index: 4, ..Message::default() };
    let mut frames = vec![
        Frame::Raft(message.write_to_bytes().unwrap_or_default().into()),
        Frame::Refused { term: 3, request, reason: Refusal::Busy },
        Frame::Chunk { transfer: 5, offset: 6, last: true, data: "part".into() },
        Frame::ChunkReceived { transfer: 5, offset: 6 },
    ];
    frames.extend(commands.iter().map(|command| Frame::Forward {
        term: 3,
        request,
        command: command.clone(),
    }));
    let frames = frames.iter().map(|frame| {
        let frame = frame.encode(0, 2);
        frame.split_last_chunk::<4>().map_or_else(Vec::new, |(frame, _sum)| frame.to_vec())
    });
    frames.chain(commands.iter().map(|command| command.to_vec())).collect()
}

/// A snapshot of a state.
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "the table of decoders needs both features"))]
pub(crate) fn valid_snapshot(state: &State) -> Vec<u8> {
    let mut source = Source::new(state, &Applied::default());
    let mut bytes = Vec::new();
    loop {
        let (part, last) = source.part(state, 1 << 10);
        bytes.extend_from_slice(&part);
        if last {
            return bytes;
        }
    }
}
