//! Tests of the state without any driver.

use super::State;
use crate::engine::{Batch, Engine, MemoryEngine};
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

/// Writes and deletes some keys at once, mostly one.
fn change(state: &mut State, rng: &mut fastrand::Rng) {
    let first = rng.u8(..12);
    let count = if rng.u8(..4) == 0 { 3 } else { 1 };
    let ops = (first..first + count).map(|key| {
        let key = format!("key-{:02}", key.wrapping_mul(7) % 20);
        match rng.u8(..4) {
            0 => DeleteRequest::key(key).into(),
            _ => PutRequest::new(key, "v".repeat(rng.usize(..3000))).into(),
        }
    });
    let txn = TxnRequest::of(ops.collect::<Vec<Op>>());
    state.apply(txn).unwrap();
    state.publish(i64::MAX);
}

fn assert_same(loaded: &State, state: &State) {
    assert_eq!((loaded.head, loaded.compacted, loaded.visible), (state.head, state.compacted, state.visible));
    assert_eq!(
        (loaded.keys(), loaded.bytes(), loaded.log.first()),
        (state.keys(), state.bytes(), state.log.first())
    );
    for revision in state.compacted.max(1)..=state.head {
        assert_eq!(values(loaded, revision), values(state, revision), "at {revision}");
        // What the oldest one replaced is not known any more.
        if revision > state.compacted {
            assert_eq!(loaded.events(revision), state.events(revision), "at {revision}");
        }
    }
}

fn commit(state: &mut State, engine: &mut MemoryEngine) {
    let mut batch = Batch::default();
    state.encode_changes(&mut batch);
    engine.commit(&batch).unwrap();
}

#[test]
fn what_is_loaded_is_what_was_written() {
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut state, mut engine) = (State::new(true), MemoryEngine::default());
    state.note(super::Change::Format);
    for round in 0..40 {
        (0..rng.usize(1..30)).for_each(|_| change(&mut state, &mut rng));
        commit(&mut state, &mut engine);
        if round % 3 == 1 && state.head > state.compacted {
            state.compact(rng.i64(state.compacted + 1..=state.head)).unwrap();
            // Not all of it is freed before the process ends.
            state.sweep(rng.usize(..10));
            commit(&mut state, &mut engine);
        }
        let mut loaded = State::load(&engine, tokio::time::Instant::now()).unwrap();
        while !state.sweep(usize::MAX) {}
        assert_same(&loaded, &state);
        // Both go on in the same way.
        let mut other = rng.clone();
        change(&mut loaded, &mut other);
        change(&mut state, &mut rng);
        assert_same(&loaded, &state);
    }
}
