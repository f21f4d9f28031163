//! What the log holds: the writes of a store, and who asked for them.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::codec::{Reader, Writer, damaged};
use super::members::{MemberChange, put_change, take_change};
use super::txn_codec::{put_txn, take_txn};
use crate::mvcc::State;
use crate::{LeaseResponse, Result, Revision, TxnRequest, TxnResponse};

/// Version of the encoding; a member that meets a newer one stops instead of guessing.
const VERSION: u8 = 1;

/// Who asked for a command. The number counts within one life of the member's process, which the nonce names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId {
    pub(crate) member: u64,
    pub(crate) nonce: u64,
    pub(crate) number: u64,
}

/// One replicated write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// A transaction.
    Txn(TxnRequest),
    /// Moves the start of history.
    Compact(Revision),
    /// Makes a lease; whoever asks has chosen its identifier.
    Grant(i64, Duration),
    /// Ends a lease, because somebody asked or because its time is over.
    Revoke(i64),
    /// Starts a lease's time to live again. It is replicated, unlike etcd's, so that every member's clock knows of it and a
    /// new leader needs to ask nobody.
    KeepAlive(i64),
    /// Changes who belongs to the group.
    Members(Vec<MemberChange>),
    /// Writes, or with `None` deletes, records beside the keys.
    Records(Vec<(Bytes, Option<Bytes>)>),
    /// The same, if the first is a record with that value.
    SwapRecords((Bytes, Option<Bytes>), Vec<(Bytes, Option<Bytes>)>),
    /// Notes what is left of leases. Only a leader asks for it, and only where that is configured, since members of earlier
    /// releases do not know it.
    Checkpoint(Vec<(i64, Duration)>),
}

/// What a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Txn(TxnResponse),
    Compacted,
    Lease(LeaseResponse),
    Members,
    Records,
    Swapped(bool),
    Checkpointed,
}

impl Command {
    pub(crate) fn encode(&self, request: RequestId) -> Bytes {
        let mut w = Writer::default();
        w.u8(VERSION);
        put_request(&mut w, request);
        match self {
            Self::Txn(txn) => {
                w.u8(0);
                put_txn(&mut w, txn);
            }
            Self::Compact(revision) => {
                w.u8(1);
                w.i64(*revision);
            }
            Self::Grant(id, ttl) => {
                w.u8(2);
                w.i64(*id);
                w.u64(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
            }
            Self::Revoke(id) => {
                w.u8(3);
                w.i64(*id);
            }
            Self::KeepAlive(id) => {
                w.u8(4);
                w.i64(*id);
            }
            Self::Members(changes) => {
                w.u8(5);
                w.list(changes, put_change);
            }
            Self::Records(changes) => {
                w.u8(6);
                w.list(changes, put_record);
            }
            Self::SwapRecords(expected, changes) => {
                w.u8(7);
                put_record(&mut w, expected);
                w.list(changes, put_record);
            }
            Self::Checkpoint(all) => {
                w.u8(8);
                w.list(all, |w, (id, left)| {
                    w.i64(*id);
                    w.u64(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
                });
            }
        }
        w.finish()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<(RequestId, Self)> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(damaged());
        }
        let request = take_request(&mut r)?;
        let command = match r.u8()? {
            0 => Self::Txn(take_txn(&mut r)?),
            1 => Self::Compact(r.i64()?),
            2 => Self::Grant(r.i64()?, Duration::from_millis(r.u64()?)),
            3 => Self::Revoke(r.i64()?),
            4 => Self::KeepAlive(r.i64()?),
            5 => Self::Members(r.list(take_change)?),
            6 => Self::Records(r.list(take_record)?),
            7 => Self::SwapRecords(take_record(&mut r)?, r.list(take_record)?),
            8 => Self::Checkpoint(r.list(|r| Ok((r.i64()?, Duration::from_millis(r.u64()?))))?),
            _ => return Err(damaged()),
        };
        r.end()?;
        Ok((request, command))
    }

    /// Does a command that concerns only the store. The result follows from the state and the command alone; `now` decides
    /// nothing but when this member, should it lead, will ask for a lease to end.
    pub(crate) fn apply(self, state: &mut State, now: Instant) -> Result<Answer> {
        match self {
            Self::Txn(txn) => state.apply(txn).map(Answer::Txn),
            Self::Compact(revision) => state.compact(revision).map(|()| Answer::Compacted),
            Self::Grant(id, ttl) => state.grant(id, ttl, now).map(Answer::Lease),
            Self::Revoke(id) => state.revoke(id).map(Answer::Lease),
            Self::KeepAlive(id) => state.keep_alive(id, now).map(Answer::Lease),
            Self::Checkpoint(all) => {
                state.note_left(&all, now);
                Ok(Answer::Checkpointed)
            }
            Self::Members(_) => Ok(Answer::Members),
            // Whether there is space was asked before, for members count memory at different moments.
            Self::Records(changes) => state.write_records(changes, u64::MAX).map(|()| Answer::Records),
            Self::SwapRecords(expected, changes) => {
                state.swap_records(&expected, changes, u64::MAX).map(Answer::Swapped)
            }
        }
    }
}

fn put_record(w: &mut Writer, (key, value): &(Bytes, Option<Bytes>)) {
    w.bytes(key);
    w.bool(value.is_some());
    w.bytes(value.as_deref().unwrap_or_default());
}

fn take_record(r: &mut Reader) -> Result<(Bytes, Option<Bytes>)> {
    let (key, is_there, value) = (r.bytes()?, r.bool()?, r.bytes()?);
    Ok((key, is_there.then_some(value)))
}

pub(super) fn put_request(w: &mut Writer, request: RequestId) {
    w.u64(request.member);
    w.u64(request.nonce);
    w.u64(request.number);
}

pub(super) fn take_request(r: &mut Reader) -> Result<RequestId> {
    Ok(RequestId { member: r.u64()?, nonce: r.u64()?, number: r.u64()? })
}
