//! Tests of the state without any driver.

use super::State;
use crate::{Compare, DeleteRequest, KeyRange, Op, PutRequest, RangeRequest, TxnRequest};

fn put(state: &mut State, key: &'static str, value: &'static str) -> i64 {
    let revision = state.apply(TxnRequest::of([PutRequest::new(key, value).into()])).unwrap().revision;
    state.publish(i64::MAX);
    revision
}

fn values(state: &State, revision: i64) -> Vec<String> {
    let request = RangeRequest::default().at_revision(revision);
    let kvs = super::Scan::all(state, request, state.visible()).unwrap().kvs;
    kvs.iter().map(|kv| format!("{}={}", kv.key.escape_ascii(), kv.value.escape_ascii())).collect()
}

#[test]
fn every_revision_stays_readable_until_compacted() {
    let mut state = State::new(false);
    let first = put(&mut state, "a", "1");
    let second = put(&mut state, "a", "2");
    state.apply(TxnRequest::of([DeleteRequest::key("a").into()])).unwrap();
    state.publish(i64::MAX);
    let again = put(&mut state, "a", "3");
    assert_eq!((first, second, again), (2, 3, 5));
    assert_eq!(values(&state, 1), [""; 0]);
    assert_eq!(values(&state, 2), ["a=1"]);
    assert_eq!(values(&state, 4), [""; 0]);
    assert_eq!(values(&state, 5), ["a=3"]);
    state.compact(4).unwrap();
    assert!(state.sweep(usize::MAX));
    assert!(state.check_revision(3, 5).is_err());
    assert_eq!(values(&state, 4), [""; 0]);
    assert_eq!(state.at(b"a", 5).unwrap().version, 1);
}

#[test]
fn compaction_frees_all_that_is_unreachable() {
    let mut state = State::new(false);
    for _ in 0..10 {
        put(&mut state, "a", "1");
        put(&mut state, "b", "1");
    }
    state.apply(TxnRequest::of([DeleteRequest::new(KeyRange::All).into()])).unwrap();
    state.publish(i64::MAX);
    let last = put(&mut state, "c", "1");
    state.compact(last).unwrap();
    while !state.sweep(3) {}
    let mut fresh = State::new(false);
    put(&mut fresh, "c", "1");
    assert_eq!(state.bytes(), fresh.bytes());
    assert_eq!(state.index.len(), 1);
    assert_eq!(state.keys(), 1);
}

#[test]
fn inner_transactions_are_decided_before_anything_changes() {
    let mut state = State::new(false);
    let inner = TxnRequest::default()
        .when(Compare::exists("a"))
        .and_then(PutRequest::new("b", "saw a"))
        .or_else(PutRequest::new("b", "did not see a"));
    state.apply(TxnRequest::of([PutRequest::new("a", "1").into(), Op::Txn(Box::new(inner))])).unwrap();
    assert_eq!(state.at(b"b", 2).unwrap().value, "did not see a");
    assert_eq!(state.head, 2);
}
