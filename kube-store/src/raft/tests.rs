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
        Command::Records(vec![("a".into(), Some("1".into())), ("b".into(), None)]),
        Command::SwapRecords(("a".into(), None), vec![("a".into(), Some("1".into()))]),
        Command::Checkpoint(vec![(3, Duration::from_millis(1500)), (-4, Duration::ZERO)]),
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

/// A state with everything in it that a snapshot has to keep.
fn rich() -> crate::mvcc::State {
    let now = Instant::now();
    let mut state = crate::mvcc::State::new(true);
    state.grant(7, Duration::from_secs(60), now).unwrap();
    state.write_records(vec![("name".into(), Some("value".into()))], u64::MAX).unwrap();
    for n in 0..40u32 {
        let put = PutRequest {
            lease: 7 * i64::from(n % 2),
            ..PutRequest::new(format!("k{}", n % 9), vec![0; n as usize * 20])
        };
        let other = PutRequest::new(format!("another{}", n % 5), "v");
        state.apply(TxnRequest::of([put.into(), other.into()])).unwrap();
        if n == 20 {
            state.apply(TxnRequest::of([DeleteRequest::key("k3").into()])).unwrap();
            state.publish(i64::MAX);
            state.compact(state.visible() - 6).unwrap();
            // Not all of it, so that there is old and new history.
            state.sweep(4);
        }
    }
    state.publish(i64::MAX);
    state
}

fn parts(state: &crate::mvcc::State, size: usize) -> Vec<Bytes> {
    let mut source = super::snapshot::Source::new(state, &super::record::Applied::default());
    let mut parts = Vec::new();
    loop {
        let (part, last) = source.part(state, size);
        assert!(last || part.len() == size, "{} of {size}", part.len());
        parts.push(part);
        if last {
            return parts;
        }
    }
}

fn put_together(parts: &[Bytes]) -> crate::Result<crate::mvcc::State> {
    let mut sink = super::snapshot::Sink::new(4096, Instant::now());
    parts.iter().try_for_each(|part| sink.add(part))?;
    sink.finish().map(|(_, state)| state)
}

#[test]
fn a_snapshot_in_parts_of_any_size_is_the_state() {
    let mut state = rich();
    for size in [1, 7, 300, 1 << 20] {
        let mut copy = put_together(&parts(&state, size)).unwrap();
        copy.publish(i64::MAX);
        let seen = |state: &crate::mvcc::State, revision| {
            let range = RangeRequest::default().at_revision(revision);
            state.read(TxnRequest::of([range.into()])).map_err(|error| error.to_string())
        };
        for revision in state.compacted() - 1..=state.visible() {
            assert_eq!(seen(&copy, revision), seen(&state, revision), "at {revision}");
        }
        assert_eq!(copy.records(), state.records());
        assert_eq!(copy.lease_count(), state.lease_count());
    }
    while !state.sweep(1) {}
    let mut copy = put_together(&parts(&state, 100)).unwrap();
    while !copy.sweep(1) {}
    assert_eq!(copy.dump(), state.dump());
}

/// What is written after a snapshot was begun is not in it, and changes nothing of it.
#[test]
fn a_snapshot_is_of_one_moment() {
    let mut state = rich();
    let wanted = parts(&state, 64).concat();
    let mut source = super::snapshot::Source::new(&state, &super::record::Applied::default());
    let mut made = Vec::new();
    let mut last = false;
    while !last {
        let part;
        (part, last) = source.part(&state, 64);
        made.extend_from_slice(&part);
        state.apply(TxnRequest::of([PutRequest::new(format!("k{}", made.len() % 9), "new").into()])).unwrap();
        state.publish(i64::MAX);
        if made.len() == 64 * 5 {
            state.compact(state.visible()).unwrap();
        }
    }
    assert_eq!(made, wanted);
}

#[test]
fn a_snapshot_that_was_changed_on_its_way_is_refused() {
    let whole = Bytes::from(parts(&rich(), 1 << 20).concat());
    assert!(put_together(std::slice::from_ref(&whole)).is_ok());
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 1;
        assert!(put_together(&[damaged.into()]).is_err(), "damaged at {at}");
        assert!(put_together(&[whole.slice(..at)]).is_err(), "cut at {at}");
    }
}

/// Whether a member that was there before gives its vote after it has ticked so often.
fn votes_after(ticks: usize, reads: super::ReadMode) -> bool {
    use protobuf::Message as _;
    use raft::prelude::{Message, MessageType};
    let (mut engine, now) = (MemoryEngine::default(), Instant::now());
    let config = RaftConfig { reads, ..RaftConfig::member(1, 3) };
    let (mut core, mut state) = Core::load(&engine, config.clone(), 1, now).unwrap();
    settle(&mut core, &mut state, &mut engine, now);
    let (mut core, mut state) = Core::load(&engine, config, 2, now).unwrap();
    (0..ticks).for_each(|_| core.tick(&mut state, now));
    let mut vote = Message { from: 2, to: 1, term: 9, log_term: 8, index: 100, ..Message::default() };
    vote.set_msg_type(MessageType::MsgRequestVote);
    let frame = Frame::Raft(vote.write_to_bytes().unwrap().into()).encode(1, 2);
    core.step(frame, &mut state, now);
    let work = core.poll(&mut state, now).unwrap();
    work.is_some_and(|work| work.after.iter().chain(&work.send).any(|outgoing| outgoing.to == 2))
}

#[test]
fn a_member_that_starts_votes_only_when_no_leader_counts_on_it() {
    let lease = super::ReadMode::Lease { drift_percent: 20 };
    assert!(votes_after(0, super::ReadMode::Quorum));
    assert!(!votes_after(0, lease) && !votes_after(9, lease));
    assert!(votes_after(10, lease));
}
