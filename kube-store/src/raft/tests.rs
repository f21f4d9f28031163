//! Tests of the parts that need no group.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::Instant;

use super::codec::{Reader, Writer};
use super::command::{Command, RequestId};
use super::core::Core;
use super::wire::{Frame, Refusal};
use super::{MemberChange, MemberInfo, RaftConfig};
use crate::engine::{Batch, Engine, MemoryEngine};
use crate::{
    Compare, CompareOp, CompareTarget, DeleteRequest, Error, KeyRange, PutRequest, RangeRequest, SortOrder,
    SortTarget, TxnRequest,
};

fn commands() -> Vec<Command> {
    let inner = TxnRequest::default()
        .when(Compare::value_eq("a", "1"))
        .and_then(
            RangeRequest::prefix("p")
                .with_limit(3)
                .sorted(SortTarget::Value, SortOrder::Descending)
                .keys_only(),
        )
        .or_else(DeleteRequest::new(KeyRange::Range("a".into(), "b".into())).with_prev());
    let txn = TxnRequest::default()
        .when(Compare::mod_revision_eq("k", 7))
        .when(Compare::key("k", CompareTarget::Lease(9), CompareOp::NotEqual))
        .and_then(PutRequest { prev_kv: true, ignore_lease: true, ..PutRequest::new("k", "v") })
        .and_then(RangeRequest::new(KeyRange::From("x".into())).at_revision(4).count_only())
        .or_else(inner);
    let member = MemberInfo {
        name: "two".into(),
        peer_urls: vec!["http://a".into(), "http://b".into()],
        learner: true,
        ..MemberInfo::new(2)
    };
    vec![
        Command::Txn(txn),
        Command::Compact(9),
        Command::Grant(-5, Duration::from_millis(1500)),
        Command::Revoke(4),
        Command::KeepAlive(3),
        Command::Members(vec![
            MemberChange::Add(member.clone()),
            MemberChange::Promote(2),
            MemberChange::Update(member),
            MemberChange::Remove(1),
        ]),
    ]
}

#[test]
fn commands_survive_their_encoding() {
    let request = RequestId { member: 1, nonce: 2, number: 3 };
    for command in commands() {
        let bytes = command.encode(request);
        assert_eq!(Command::decode(bytes.clone()).unwrap(), (request, command));
        for cut in 0..bytes.len() {
            assert!(Command::decode(bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn frames_survive_their_encoding_and_nothing_else_does() {
    let request = RequestId { member: 1, nonce: 2, number: 3 };
    let frames = [
        Frame::Raft("m".into()),
        Frame::Forward { term: 4, request, command: "c".into() },
        Frame::Refused { term: 4, request, reason: Refusal::NotNow },
        Frame::Chunk { transfer: 1, offset: 2, last: true, data: "d".into() },
        Frame::ChunkReceived { transfer: 1, offset: 3 },
    ];
    for frame in frames {
        let bytes = frame.encode(5, 6);
        assert_eq!(Frame::decode(bytes.clone(), 5).unwrap(), (6, frame));
        assert!(Frame::decode(bytes.clone(), 7).is_err(), "of another group");
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(Frame::decode(damaged.into(), 5).is_err(), "damaged at {at}");
        }
    }
}

proptest! {
    #[test]
    fn decoders_refuse_noise_without_panicking(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut sealed = Writer::default();
        sealed.raw(&noise);
        let sealed = sealed.sealed();
        let _ = Command::decode(Bytes::from(noise.clone()));
        let _ = Frame::decode(sealed.clone(), 0);
        let _ = super::snapshot::Sink::new(1 << 20, Instant::now()).add(&sealed);
        let _ = super::record::decode_applied(&mut Reader::new(noise.into()));
    }
}

/// A single member that did a few things, and what it left on its disk.
fn worked() -> (MemoryEngine, RaftConfig) {
    let (mut engine, config) = (MemoryEngine::default(), RaftConfig::single());
    let now = Instant::now();
    let (mut core, mut state) = Core::load(&engine, config.clone(), 1, now).unwrap();
    for (number, command) in (1..).zip(commands().into_iter().take(3)) {
        core.propose(number, &command, &mut state, now);
        settle(&mut core, &mut state, &mut engine, now);
    }
    (engine, config)
}

fn settle(core: &mut Core, state: &mut crate::mvcc::State, engine: &mut MemoryEngine, now: Instant) {
    while let Some(work) = core.poll(state, now).unwrap() {
        if !work.batch.is_empty() {
            engine.commit(&work.batch).unwrap();
        }
        if let Some(ready) = work.ready {
            core.persisted(ready);
        }
    }
}

#[test]
fn one_write_is_one_sync() {
    let (mut engine, config) = worked();
    let now = Instant::now();
    let (mut core, mut state) = Core::load(&engine, config, 2, now).unwrap();
    settle(&mut core, &mut state, &mut engine, now);
    let before = engine.commits();
    for number in 1..=10 {
        let put = Command::Txn(TxnRequest::of([PutRequest::new("k", "v").into()]));
        core.propose(number, &put, &mut state, now);
        settle(&mut core, &mut state, &mut engine, now);
    }
    assert_eq!(engine.commits() - before, 10);
    assert_eq!(state.visible(), 11);
}

#[test]
fn every_damaged_record_is_refused() {
    let (engine, config) = worked();
    let mut records = Vec::new();
    let collect = &mut |key: &[u8], value: &[u8]| {
        records.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    engine.scan(b"r", collect).unwrap();
    assert!(records.len() > 5);
    for (key, value) in records {
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 0x10;
            let mut batch = Batch::default();
            batch.put(&key, |buffer| buffer.extend_from_slice(&damaged));
            engine.clone().commit(&batch).unwrap();
            let outcome = Core::load(&engine, config.clone(), 2, Instant::now());
            assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{} at {at}", key.escape_ascii());
        }
        let mut batch = Batch::default();
        batch.put(&key, |buffer| buffer.extend_from_slice(&value));
        engine.clone().commit(&batch).unwrap();
    }
    assert!(Core::load(&engine, config, 3, Instant::now()).is_ok());
}

#[test]
fn a_missing_entry_and_anothers_disk_are_refused() {
    let (engine, config) = worked();
    let other = RaftConfig { cluster: 2, ..config.clone() };
    assert!(matches!(Core::load(&engine, other, 2, Instant::now()), Err(Error::Corrupt { .. })));
    let mut key = b"re".to_vec();
    key.extend_from_slice(&3_u64.to_be_bytes());
    let mut batch = Batch::default();
    batch.delete(&key);
    engine.clone().commit(&batch).unwrap();
    assert!(matches!(Core::load(&engine, config, 2, Instant::now()), Err(Error::Corrupt { .. })));
}
