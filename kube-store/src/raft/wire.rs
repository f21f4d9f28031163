//! What members send each other. A frame is bytes to everyone else; its checksum, its group and its size are looked at
//! before anything inside is.

use bytes::Bytes;

use super::codec::{Reader, Writer, damaged};
use super::command::{RequestId, put_request, take_request};
use crate::Result;

const VERSION: u8 = 2;

/// One message between members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message of the `raft` crate.
    Raft(Bytes),
    /// A proposal for the leader of `term`, and for nobody else.
    Forward { term: u64, request: RequestId, command: Bytes },
    /// The proposal was not taken, and this member will not take it later.
    Refused { term: u64, request: RequestId, reason: Refusal },
    /// Part of a snapshot, maybe the last.
    Chunk { transfer: u64, offset: u64, last: bool, data: Bytes },
    /// Everything before `offset` has arrived.
    ChunkReceived { transfer: u64, offset: u64 },
}

/// Why a leader does not take a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not lead; ask the one who does.
    NotLeader,
    /// Too much is under way; ask again.
    Busy,
    /// Another change of the members is under way.
    NotNow,
    /// The learner did not catch up.
    Behind,
}

const REFUSALS: [Refusal; 4] = [Refusal::NotLeader, Refusal::Busy, Refusal::NotNow, Refusal::Behind];

impl Frame {
    pub(super) fn encode(&self, cluster: u64, from: u64) -> Bytes {
        let mut w = Writer::default();
        w.u8(VERSION);
        w.u64(cluster);
        w.u64(from);
        match self {
            Self::Raft(message) => {
                w.u8(0);
                w.raw(message);
            }
            Self::Forward { term, request, command } => {
                w.u8(1);
                w.u64(*term);
                put_request(&mut w, *request);
                w.raw(command);
            }
            Self::Refused { term, request, reason } => {
                w.u8(2);
                w.u64(*term);
                put_request(&mut w, *request);
                w.u8(REFUSALS
                    .iter()
                    .position(|r| r == reason)
                    .and_then(|at| u8::try_from(at).ok())
                    .unwrap_or(0));
            }
            Self::Chunk { transfer, offset, last, data } => {
                w.u8(3);
                w.u64(*transfer);
                w.u64(*offset);
                w.bool(*last);
                w.raw(data);
            }
            Self::ChunkReceived { transfer, offset } => {
                w.u8(4);
                w.u64(*transfer);
                w.u64(*offset);
            }
        }
        w.sealed()
    }

    /// The frame and who sent it.
    pub(super) fn decode(bytes: Bytes, cluster: u64) -> Result<(u64, Self)> {
        let mut r = Reader::unsealed(bytes)?;
        if r.u8()? != VERSION || r.u64()? != cluster {
            return Err(damaged());
        }
        let from = r.u64()?;
        let frame = match r.u8()? {
            0 => Self::Raft(r.rest()),
            1 => Self::Forward { term: r.u64()?, request: take_request(&mut r)?, command: r.rest() },
            2 => {
                let (term, request) = (r.u64()?, take_request(&mut r)?);
                let reason = REFUSALS.get(usize::from(r.u8()?)).copied().ok_or_else(damaged)?;
                Self::Refused { term, request, reason }
            }
            3 => Self::Chunk { transfer: r.u64()?, offset: r.u64()?, last: r.bool()?, data: r.rest() },
            4 => Self::ChunkReceived { transfer: r.u64()?, offset: r.u64()? },
            _ => return Err(damaged()),
        };
        r.end()?;
        Ok((from, frame))
    }
}
