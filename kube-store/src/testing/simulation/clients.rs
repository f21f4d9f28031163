//! Clients, what they saw, and whether that makes sense.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

use super::invariants::Invariants;
use super::linear::{Call, Effect, Value, is_linearizable};
use super::rule::{Checked, Rule};
use super::{Settings, Variety};
use crate::raft::{Answer, Command};
use crate::{
    Compare, DeleteRequest, KeyValue, OpResult, PutRequest, RangeRequest, Result, Revision, TxnRequest,
    TxnResponse,
};

/// Milliseconds after which a client gives up.
pub(super) const PATIENCE: u64 = 1500;
/// Time to live of the leases that clients take.
const LEASE: Duration = Duration::from_millis(700);

/// What a client asks a member for.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Read,
    Do(Command),
}

/// An operation on a key.
#[derive(Debug, Clone)]
enum Op {
    Get,
    Put(Bytes),
    Swap(Revision, Bytes),
    Delete,
    /// Something that is not about a shared key.
    Other,
}

/// An operation under way.
#[derive(Debug)]
struct Pending {
    /// Member, its life, and the number there.
    at: (u64, u64, u64),
    key: Bytes,
    op: Op,
    start: u64,
}

#[derive(Debug, Default)]
struct Client {
    pending: Option<Pending>,
    /// Newest revision that it saw of each key.
    seen: BTreeMap<Bytes, Revision>,
    /// Newest revision that it was told of.
    newest: Revision,
    lease: i64,
}

/// An answer's revision, and when the operation ran.
#[derive(Debug)]
struct Stamp {
    start: u64,
    end: u64,
    revision: Revision,
    wrote: bool,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Clients {
    all: Vec<Client>,
    keys: Vec<Bytes>,
    calls: BTreeMap<Bytes, Vec<Call>>,
    unanswered: Vec<(Bytes, Op, u64)>,
    stamps: Vec<Stamp>,
    reads: Vec<(Bytes, Revision, Value)>,
    values: u64,
    variety: Variety,
    pub(super) operations: usize,
    pub(super) answered: usize,
}

impl Clients {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            all: (0..settings.clients).map(|_| Client::default()).collect(),
            keys: (0..settings.keys).map(|n| Bytes::from(format!("key-{n}"))).collect(),
            variety: settings.variety,
            calls: BTreeMap::new(),
            unanswered: Vec::new(),
            stamps: Vec::new(),
            reads: Vec::new(),
            values: 0,
            operations: 0,
            answered: 0,
        }
    }

    /// Whether the client waits; one that waited long enough gives up.
    pub(super) fn waits(&mut self, client: usize, now: u64) -> bool {
        let Some(it) = self.all.get_mut(client) else { return true };
        let Some(pending) = it.pending.take_if(|pending| pending.start + PATIENCE <= now) else {
            return it.pending.is_some();
        };
        self.unanswered.push((pending.key, pending.op, pending.start));
        false
    }

    /// Chooses the next operation of a client and sends it to a member, under a number of that member's.
    pub(super) fn choose(
        &mut self,
        client: usize,
        at: (u64, u64, u64),
        now: u64,
        rng: &mut Rng,
    ) -> Option<Ask> {
        let key = self.keys.get(rng.usize(..self.keys.len())).cloned()?;
        self.values += 1;
        let value = Bytes::from(self.values.to_string());
        let it = self.all.get_mut(client)?;
        let txn = |txn: TxnRequest| Ask::Do(Command::Txn(txn));
        let is_wide = self.variety == Variety::Wide;
        let newest = it.newest;
        let (op, ask) = match rng.u8(..20) {
            // What it reads may be compacted, and then it must not write either, at any member.
            7..9 if is_wide => {
                let old = (newest - rng.i64(..12)).max(1);
                let put = PutRequest::new(key.clone(), value.clone());
                let read = RangeRequest::key(key.clone()).at_revision(old);
                (Op::Put(value), txn(TxnRequest::of([put.into(), read.into()])))
            }
            0..7 => (Op::Get, Ask::Read),
            7..12 => {
                let put = PutRequest::new(key.clone(), value.clone());
                (Op::Put(value), txn(TxnRequest::of([put.into()])))
            }
            12..15 => {
                let believed = it.seen.get(&key).copied().unwrap_or(0);
                let swap = TxnRequest::default()
                    .when(Compare::mod_revision_eq(key.clone(), believed))
                    .and_then(PutRequest::new(key.clone(), value.clone()))
                    .or_else(RangeRequest::key(key.clone()));
                (Op::Swap(believed, value), txn(swap))
            }
            15..17 => (Op::Delete, txn(TxnRequest::of([DeleteRequest::key(key.clone()).into()]))),
            17 => {
                it.lease = rng.i64(1..i64::MAX);
                (Op::Other, Ask::Do(Command::Grant(it.lease, LEASE)))
            }
            18 if it.lease != 0 => {
                let put = PutRequest::new(format!("leased-{client}"), value).with_lease(it.lease);
                (Op::Other, txn(TxnRequest::of([put.into()])))
            }
            18 => (Op::Other, Ask::Do(Command::KeepAlive(it.lease))),
            // The newest revision may be a delete, of which compaction leaves nothing.
            _ if is_wide && rng.bool() => (Op::Other, Ask::Do(Command::Compact(newest.max(1)))),
            _ => {
                let newest = it.seen.values().max().copied().unwrap_or(0);
                (Op::Other, Ask::Do(Command::Compact((newest - 5).max(1))))
            }
        };
        it.pending = Some(Pending { at, key, op, start: now });
        self.operations += 1;
        Some(ask)
    }

    /// The member's process is gone: nobody will answer.
    pub(super) fn lost(&mut self, member: u64) {
        for client in &mut self.all {
            if let Some(pending) = client.pending.take_if(|pending| pending.at.0 == member) {
                self.unanswered.push((pending.key, pending.op, pending.start));
            }
        }
    }

    fn finish(&mut self, at: (u64, u64, u64)) -> Option<(usize, Pending)> {
        let is = |client: &Client| client.pending.as_ref().is_some_and(|pending| pending.at == at);
        let client = self.all.iter().position(is)?;
        let pending = self.all.get_mut(client)?.pending.take()?;
        Some((client, pending))
    }

    /// A read may be answered; gives the key.
    pub(super) fn key_of(&self, at: (u64, u64, u64)) -> Option<Bytes> {
        let pending = self.all.iter().filter_map(|client| client.pending.as_ref()).find(|p| p.at == at)?;
        Some(pending.key.clone())
    }

    pub(super) fn read(&mut self, at: (u64, u64, u64), revision: Revision, kv: Option<KeyValue>, now: u64) {
        let Some((client, pending)) = self.finish(at) else { return };
        let value = kv.map(|kv| (kv.mod_revision, kv.value));
        self.saw(client, &pending.key, &value);
        self.stamps.push(Stamp { start: pending.start, end: now, revision, wrote: false });
        self.reads.push((pending.key.clone(), revision, value.clone()));
        self.call(pending, now, Effect::Saw(value));
    }

    pub(super) fn answer(&mut self, at: (u64, u64, u64), answer: Result<Answer>, now: u64) {
        let Some((client, pending)) = self.finish(at) else { return };
        match answer {
            Ok(Answer::Txn(response)) => self.txn(client, pending, &response, now),
            // An error may be about the way to the leader, and leaves open what happened.
            Err(_) => self.unanswered.push((pending.key, pending.op, pending.start)),
            Ok(_) => self.answered += 1,
        }
    }

    fn txn(&mut self, client: usize, pending: Pending, response: &TxnResponse, now: u64) {
        let revision = response.revision;
        if let Some(client) = self.all.get_mut(client) {
            client.newest = client.newest.max(revision);
        }
        let (effect, wrote) = match (&pending.op, response.results.first()) {
            (Op::Put(value), _) => (Effect::Wrote(revision, value.clone()), true),
            (Op::Swap(old, value), _) if response.succeeded => {
                (Effect::Swapped(*old, revision, value.clone()), true)
            }
            (Op::Swap(old, _), Some(OpResult::Range(range))) => {
                let value = range.kvs.first().map(|kv| (kv.mod_revision, kv.value.clone()));
                self.saw(client, &pending.key, &value);
                (Effect::Differed(*old), false)
            }
            (Op::Delete, Some(OpResult::Delete(delete))) if delete.deleted > 0 => {
                (Effect::Deleted(revision), true)
            }
            (Op::Delete, _) => (Effect::Absent, false),
            _ => {
                self.answered += 1;
                return;
            }
        };
        if wrote && !matches!(effect, Effect::Deleted(_)) {
            self.saw(client, &pending.key, &Some((revision, Bytes::new())));
        }
        self.stamps.push(Stamp { start: pending.start, end: now, revision, wrote });
        self.call(pending, now, effect);
    }

    fn saw(&mut self, client: usize, key: &Bytes, value: &Value) {
        if let Some(client) = self.all.get_mut(client) {
            client.seen.insert(key.clone(), value.as_ref().map_or(0, |(revision, _)| *revision));
        }
    }

    fn call(&mut self, pending: Pending, end: u64, effect: Effect) {
        self.answered += 1;
        let call = Call { start: pending.start, end, effect };
        self.calls.entry(pending.key).or_default().push(call);
    }

    /// Looks at everything that clients saw.
    pub(super) fn check(&mut self, history: &Invariants) -> Checked {
        self.check_order()?;
        for (key, revision, value) in &self.reads {
            if history.at(key, *revision) != *value {
                let key = key.escape_ascii();
                return Rule::Reads.broken(format!("a read of {key} at {revision} gave {value:?}"));
            }
        }
        self.add_unanswered(history);
        for (key, calls) in &self.calls {
            if !is_linearizable(calls) {
                return Rule::Linearizable.broken(format!("{}: {calls:?}", key.escape_ascii()));
            }
        }
        Ok(())
    }

    /// What began after an answer has a revision that is not older, and a write one of its own.
    fn check_order(&mut self) -> Checked {
        let mut ended: Vec<(u64, Revision)> = self.stamps.iter().map(|s| (s.end, s.revision)).collect();
        ended.sort_unstable();
        self.stamps.sort_by_key(|stamp| stamp.start);
        let (mut ended, mut newest) = (ended.into_iter().peekable(), 0);
        for stamp in &self.stamps {
            while let Some((_, revision)) = ended.next_if(|(end, _)| *end < stamp.start) {
                newest = newest.max(revision);
            }
            if stamp.revision < newest + i64::from(stamp.wrote) {
                return Rule::Revisions
                    .broken(format!("{stamp:?} began after an answer at revision {newest}"));
            }
        }
        let mut writes: Vec<Revision> = self.stamps.iter().filter(|s| s.wrote).map(|s| s.revision).collect();
        writes.sort_unstable();
        match writes.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            Some(pair) => {
                Rule::Revisions.broken(format!("two writes were answered with one revision {pair:?}"))
            }
            None => Ok(()),
        }
    }

    /// Writes without an answer may have happened: their values tell when. A delete that nobody was told of is one of those
    /// without an answer, and began no earlier than the first of them.
    fn add_unanswered(&mut self, history: &Invariants) {
        let pending = self.all.iter_mut().filter_map(|client| client.pending.take());
        self.unanswered.extend(pending.map(|pending| (pending.key, pending.op, pending.start)));
        let mut deletes: BTreeMap<Bytes, u64> = BTreeMap::new();
        for (key, op, start) in self.unanswered.drain(..) {
            let effect = match op {
                Op::Put(value) => history.wrote(&key, &value).map(|revision| Effect::Wrote(revision, value)),
                Op::Swap(old, value) => {
                    history.wrote(&key, &value).map(|revision| Effect::Swapped(old, revision, value))
                }
                Op::Delete => {
                    let first = deletes.entry(key.clone()).or_insert(start);
                    *first = start.min(*first);
                    None
                }
                Op::Get | Op::Other => None,
            };
            if let Some(effect) = effect {
                self.calls.entry(key).or_default().push(Call { start, end: u64::MAX, effect });
            }
        }
        for (key, start) in deletes {
            let calls = self.calls.entry(key.clone()).or_default();
            for revision in history.deleted(&key) {
                let effect = Effect::Deleted(revision);
                if calls.iter().all(|call| call.effect != effect) {
                    calls.push(Call { start, end: u64::MAX, effect });
                }
            }
        }
    }
}
