//! Rules that a request has to keep whatever the state is.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{State, history::Version};
use crate::{
    Compare, CompareTarget, Config, Error, InvalidRequest, KeyRange, Op, PutRequest, RangeRequest,
    TxnRequest, WatchRequest,
};

type Checked = Result<(), InvalidRequest>;

/// Deepest nesting of transactions; each level is a recursion.
const MAX_DEPTH: usize = 16;

/// Checks a range outside of a transaction.
pub(crate) fn check_range(request: &RangeRequest, config: &Config) -> Checked {
    check_key(&request.range)?;
    check_size(request.range.bytes(), config)
}

/// Checks a watch.
pub(crate) fn check_watch(request: &WatchRequest, config: &Config) -> Checked {
    check_key(&request.range)?;
    check_size(request.range.bytes(), config)
}

/// Checks a transaction.
pub(crate) fn check_txn(request: &TxnRequest, config: &Config) -> Checked {
    check_size(check_lists(request, config, 0)?, config)?;
    changes(&request.success)?;
    changes(&request.failure)?;
    Ok(())
}

impl State {
    /// Refuses puts for which there is no space; deletes go on.
    pub(crate) fn check_space(&self, request: &TxnRequest, quota: u64) -> Result<(), Error> {
        let growth = growth(&request.success, &request.failure);
        if growth > 0 && self.bytes.saturating_add(growth) > quota {
            return Err(Error::NoSpace { used: self.bytes, quota });
        }
        Ok(())
    }
}

/// What the puts of one list or the other add, in bytes.
fn growth(success: &[Op], failure: &[Op]) -> u64 {
    let of_list = |list: &[Op]| list.iter().map(growth_of).fold(0, u64::saturating_add);
    of_list(success).max(of_list(failure))
}

fn growth_of(op: &Op) -> u64 {
    match op {
        Op::Put(put) => Version::cost_of(put.key.len() + put.value.len()),
        Op::Range(_) | Op::Delete(_) => 0,
        Op::Txn(txn) => growth(&txn.success, &txn.failure),
    }
}

fn check_key(range: &KeyRange) -> Checked {
    if range.is_empty_key() { Err(InvalidRequest::EmptyKey) } else { Ok(()) }
}

fn check_size(found: usize, config: &Config) -> Checked {
    let limit = config.max_request_bytes;
    if found > limit { Err(InvalidRequest::TooLarge { found, limit }) } else { Ok(()) }
}

/// Checks every operation by itself; answers the bytes of all.
fn check_lists(txn: &TxnRequest, config: &Config, depth: usize) -> Result<usize, InvalidRequest> {
    if depth >= MAX_DEPTH {
        return Err(InvalidRequest::TooDeep { limit: MAX_DEPTH });
    }
    let limit = config.max_txn_ops;
    let found = txn.compares.len().max(txn.success.len()).max(txn.failure.len());
    if found > limit {
        return Err(InvalidRequest::TooManyOps { found, limit });
    }
    let mut bytes = 0;
    for compare in &txn.compares {
        check_key(&compare.range)?;
        bytes += compare_bytes(compare);
    }
    for op in txn.success.iter().chain(&txn.failure) {
        bytes += check_op(op, config, depth)?;
    }
    Ok(bytes)
}

fn check_op(op: &Op, config: &Config, depth: usize) -> Result<usize, InvalidRequest> {
    match op {
        Op::Range(range) => check_key(&range.range).map(|()| range.range.bytes()),
        Op::Delete(delete) => check_key(&delete.range).map(|()| delete.range.bytes()),
        Op::Put(put) => check_put(put).map(|()| put.key.len() + put.value.len()),
        Op::Txn(txn) => check_lists(txn, config, depth + 1),
    }
}

fn check_put(put: &PutRequest) -> Checked {
    if put.key.is_empty() {
        return Err(InvalidRequest::EmptyKey);
    }
    if put.ignore_value && !put.value.is_empty() {
        return Err(InvalidRequest::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(InvalidRequest::LeaseProvided);
    }
    Ok(())
}

fn compare_bytes(compare: &Compare) -> usize {
    compare.range.bytes()
        + match &compare.target {
            CompareTarget::Value(value) => value.len(),
            _ => size_of::<i64>(),
        }
}

/// What one list of operations may change.
#[derive(Default)]
struct Changes<'a> {
    puts: BTreeSet<&'a Bytes>,
    deletes: Vec<&'a KeyRange>,
}

impl<'a> Changes<'a> {
    fn deletes(&self, key: &[u8]) -> bool {
        self.deletes.iter().any(|range| range.contains(key))
    }

    fn add_put(&mut self, key: &'a Bytes) -> Checked {
        if self.deletes(key) || !self.puts.insert(key) {
            return Err(InvalidRequest::DuplicateKey(key.clone()));
        }
        Ok(())
    }

    /// Adds what a transaction inside may change, in either of its lists.
    fn add(&mut self, inner: Self) -> Checked {
        if let Some(key) = self.puts.iter().find(|key| inner.deletes(key)) {
            return Err(InvalidRequest::DuplicateKey((*key).clone()));
        }
        inner.puts.into_iter().try_for_each(|key| self.add_put(key))?;
        self.deletes.extend(inner.deletes);
        Ok(())
    }
}

/// What a list may change; refuses a key that is put twice, or put and deleted.
fn changes(ops: &[Op]) -> Result<Changes<'_>, InvalidRequest> {
    let mut all = Changes::default();
    if let [Op::Put(_) | Op::Range(_)] | [] = ops {
        // The common case has nothing to collide with, unless an outer list looks at it.
        if let [Op::Put(put)] = ops {
            all.puts.insert(&put.key);
        }
        return Ok(all);
    }
    all.deletes
        .extend(ops.iter().filter_map(|op| if let Op::Delete(d) = op { Some(&d.range) } else { None }));
    for op in ops {
        if let Op::Txn(txn) = op {
            let (mut inner, other) = (changes(&txn.success)?, changes(&txn.failure)?);
            // The two lists exclude each other, so they may name the same keys.
            inner.puts.extend(other.puts);
            inner.deletes.extend(other.deletes);
            all.add(inner)?;
        }
    }
    for op in ops {
        if let Op::Put(put) = op {
            all.add_put(&put.key)?;
        }
    }
    Ok(all)
}
