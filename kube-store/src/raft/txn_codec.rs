//! A transaction as bytes, in the log and on the wire.

use super::codec::{Reader, Writer, damaged};
use crate::{
    Compare, CompareOp, CompareTarget, DeleteRequest, KeyRange, Op, PutRequest, RangeContent, RangeRequest,
    Result, Sort, SortOrder, SortTarget, TxnRequest,
};

/// Deeper than any request that passed the checks; a damaged record must not exhaust the stack.
const MAX_DEPTH: usize = 32;

pub(super) fn put_txn(w: &mut Writer, txn: &TxnRequest) {
    w.list(&txn.compares, put_compare);
    w.list(&txn.success, put_op);
    w.list(&txn.failure, put_op);
}

pub(super) fn take_txn(r: &mut Reader) -> Result<TxnRequest> {
    take_nested(r, 0)
}

fn take_nested(r: &mut Reader, depth: usize) -> Result<TxnRequest> {
    if depth > MAX_DEPTH {
        return Err(damaged());
    }
    Ok(TxnRequest {
        compares: r.list(take_compare)?,
        success: r.list(|r| take_op(r, depth))?,
        failure: r.list(|r| take_op(r, depth))?,
    })
}

fn put_key_range(w: &mut Writer, range: &KeyRange) {
    match range {
        KeyRange::Key(key) => {
            w.u8(0);
            w.bytes(key);
        }
        KeyRange::Prefix(prefix) => {
            w.u8(1);
            w.bytes(prefix);
        }
        KeyRange::Range(start, end) => {
            w.u8(2);
            w.bytes(start);
            w.bytes(end);
        }
        KeyRange::From(start) => {
            w.u8(3);
            w.bytes(start);
        }
        KeyRange::All => w.u8(4),
    }
}

fn take_key_range(r: &mut Reader) -> Result<KeyRange> {
    Ok(match r.u8()? {
        0 => KeyRange::Key(r.bytes()?),
        1 => KeyRange::Prefix(r.bytes()?),
        2 => KeyRange::Range(r.bytes()?, r.bytes()?),
        3 => KeyRange::From(r.bytes()?),
        4 => KeyRange::All,
        _ => return Err(damaged()),
    })
}

const OPS: [CompareOp; 4] = [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Greater, CompareOp::Less];

fn put_compare(w: &mut Writer, compare: &Compare) {
    put_key_range(w, &compare.range);
    put_choice(w, &OPS, &compare.op);
    let number = |w: &mut Writer, kind, n| {
        w.u8(kind);
        w.i64(n);
    };
    match &compare.target {
        CompareTarget::Value(value) => {
            w.u8(0);
            w.bytes(value);
        }
        CompareTarget::Version(n) => number(w, 1, *n),
        CompareTarget::CreateRevision(n) => number(w, 2, *n),
        CompareTarget::ModRevision(n) => number(w, 3, *n),
        CompareTarget::Lease(n) => number(w, 4, *n),
    }
}

fn take_compare(r: &mut Reader) -> Result<Compare> {
    let (range, op) = (take_key_range(r)?, take_choice(r, &OPS)?);
    let target = match r.u8()? {
        0 => CompareTarget::Value(r.bytes()?),
        1 => CompareTarget::Version(r.i64()?),
        2 => CompareTarget::CreateRevision(r.i64()?),
        3 => CompareTarget::ModRevision(r.i64()?),
        4 => CompareTarget::Lease(r.i64()?),
        _ => return Err(damaged()),
    };
    Ok(Compare { range, target, op })
}

fn put_op(w: &mut Writer, op: &Op) {
    match op {
        Op::Range(range) => {
            w.u8(0);
            put_range(w, range);
        }
        Op::Put(put) => {
            w.u8(1);
            w.bytes(&put.key);
            w.bytes(&put.value);
            w.i64(put.lease);
            [put.prev_kv, put.ignore_value, put.ignore_lease].into_iter().for_each(|b| w.bool(b));
        }
        Op::Delete(delete) => {
            w.u8(2);
            put_key_range(w, &delete.range);
            w.bool(delete.prev_kv);
        }
        Op::Txn(txn) => {
            w.u8(3);
            put_txn(w, txn);
        }
    }
}

fn take_op(r: &mut Reader, depth: usize) -> Result<Op> {
    Ok(match r.u8()? {
        0 => Op::Range(take_range(r)?),
        1 => Op::Put(PutRequest {
            key: r.bytes()?,
            value: r.bytes()?,
            lease: r.i64()?,
            prev_kv: r.bool()?,
            ignore_value: r.bool()?,
            ignore_lease: r.bool()?,
        }),
        2 => Op::Delete(DeleteRequest { range: take_key_range(r)?, prev_kv: r.bool()? }),
        3 => Op::Txn(Box::new(take_nested(r, depth + 1)?)),
        _ => return Err(damaged()),
    })
}

const CONTENTS: [RangeContent; 3] =
    [RangeContent::KeysAndValues, RangeContent::KeysOnly, RangeContent::CountOnly];
const TARGETS: [SortTarget; 5] = [
    SortTarget::Key,
    SortTarget::Version,
    SortTarget::CreateRevision,
    SortTarget::ModRevision,
    SortTarget::Value,
];
const ORDERS: [SortOrder; 2] = [SortOrder::Ascending, SortOrder::Descending];

fn put_range(w: &mut Writer, range: &RangeRequest) {
    put_key_range(w, &range.range);
    w.i64(range.revision.unwrap_or(0));
    w.u64(range.limit as u64);
    w.bool(range.sort.is_some());
    if let Some(sort) = range.sort {
        put_choice(w, &TARGETS, &sort.target);
        put_choice(w, &ORDERS, &sort.order);
    }
    put_choice(w, &CONTENTS, &range.content);
    w.i64(range.min_mod_revision);
    w.i64(range.max_mod_revision);
    w.i64(range.min_create_revision);
    w.i64(range.max_create_revision);
}

fn take_range(r: &mut Reader) -> Result<RangeRequest> {
    let mut range = RangeRequest::new(take_key_range(r)?);
    range.revision = Some(r.i64()?).filter(|revision| *revision > 0);
    range.limit = usize::try_from(r.u64()?).map_err(|_| damaged())?;
    if r.bool()? {
        range.sort = Some(Sort { target: take_choice(r, &TARGETS)?, order: take_choice(r, &ORDERS)? });
    }
    range.content = take_choice(r, &CONTENTS)?;
    range.min_mod_revision = r.i64()?;
    range.max_mod_revision = r.i64()?;
    range.min_create_revision = r.i64()?;
    range.max_create_revision = r.i64()?;
    Ok(range)
}

fn put_choice<T: PartialEq>(w: &mut Writer, all: &[T], one: &T) {
    let at = all.iter().position(|other| other == one);
    w.u8(at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX));
}

fn take_choice<T: Copy>(r: &mut Reader, all: &[T]) -> Result<T> {
    all.get(usize::from(r.u8()?)).copied().ok_or_else(damaged)
}
