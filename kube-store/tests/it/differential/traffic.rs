//! Random calls that are likely to mean something: few keys, revisions around the current one, leases that often exist.

use bytes::Bytes;

use super::accounts::Account;
use super::members::Membership;
use super::queues::{Queue, Service};
use crate::wire::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request;

/// A call of one of the services.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Range(pb::RangeRequest),
    Put(pb::PutRequest),
    Delete(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    Compact(pb::CompactionRequest),
    Grant(pb::LeaseGrantRequest),
    Revoke(pb::LeaseRevokeRequest),
    KeepAlive(i64),
    TimeToLive(pb::LeaseTimeToLiveRequest),
    Leases,
    CreateWatch(pb::WatchCreateRequest),
    CancelWatch(i64),
    Membership(Membership),
    Queue(Queue),
    /// Of a service of this name, or of all.
    Health(&'static str),
    Hash,
    Status,
    Alarm(pb::AlarmRequest),
    Defragment,
    Account(Account),
}

/// What this crate's server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A store by itself, whose members cannot be changed.
    Alone,
    /// A member of a group, which has no other that runs.
    Group,
}

/// What the server lets the traffic do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything.
    Free,
    /// What an alarm of this kind does not stop, for so many calls more.
    Alarmed(pb::AlarmType, u32),
    /// What a user may, for so many calls more.
    Guarded(u32),
}

/// At most twelve: etcd's sort keeps the order of equals up to there, and has none beyond.
const KEYS: [&[u8]; 11] =
    [b"a", b"a/1", b"a/2", b"a/3", b"ab", b"b", b"b/1", b"b/2", b"z", b"\0", b"\xff\xff"];

/// A source of calls.
pub(super) struct Traffic {
    rng: fastrand::Rng,
    kind: Kind,
    /// Whether the etcd is 3.4, which lacks a call.
    is_old: bool,
    /// The current revision.
    pub(super) revision: i64,
    compacted: i64,
    mode: Mode,
    /// To be done first, the last first.
    ahead: Vec<Call>,
}

fn alarm(action: pb::alarm_request::AlarmAction, kind: pb::AlarmType) -> Call {
    Call::Alarm(pb::AlarmRequest { action: action.into(), member_id: 0, alarm: kind.into() })
}

impl Traffic {
    pub(super) fn new(seed: u64, kind: Kind) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            kind,
            is_old: super::is_old(),
            revision: 1,
            compacted: 0,
            mode: Mode::Free,
            ahead: Vec::new(),
        }
    }

    /// Learns from an answer.
    pub(super) fn saw(&mut self, call: &Call, revision: Option<i64>, succeeded: bool) {
        self.revision = self.revision.max(revision.unwrap_or(0));
        if let (Call::Compact(compact), true) = (call, succeeded) {
            self.compacted = compact.revision;
        }
        match call {
            Call::Account(Account::Enable) if succeeded => self.mode = Mode::Guarded(self.rng.u32(20..60)),
            Call::Account(Account::Disable) if succeeded => self.mode = Mode::Free,
            _ => {}
        }
    }

    /// Whether anybody may do anything, so that the harness can look around.
    pub(super) fn is_free(&self) -> bool {
        self.mode == Mode::Free
    }

    pub(super) fn next(&mut self) -> Call {
        if let Some(call) = self.ahead.pop() {
            return call;
        }
        match self.mode {
            Mode::Free => self.free(),
            Mode::Alarmed(kind, left) => self.alarmed(kind, left),
            Mode::Guarded(left) => self.guarded(left),
        }
    }

    /// Calls while space is short, or something is corrupt; then the end of that.
    fn alarmed(&mut self, kind: pb::AlarmType, left: u32) -> Call {
        if left == 0 {
            self.mode = Mode::Free;
            return alarm(pb::alarm_request::AlarmAction::Deactivate, kind);
        }
        self.mode = Mode::Alarmed(kind, left - 1);
        match self.rng.u32(0..100) {
            0..30 => Call::Put(self.put()),
            // Reads are refused too while something is corrupt; etcd goes on with them.
            30..50 if kind == pb::AlarmType::Nospace => Call::Range(self.range()),
            30..60 => Call::Delete(self.delete()),
            60..80 if kind == pb::AlarmType::Nospace => Call::Txn(self.txn(0)),
            60..85 => Call::Grant(self.grant()),
            85..90 => Call::Status,
            90..95 if kind == pb::AlarmType::Nospace => Call::Queue(self.queue()),
            _ => alarm(pb::alarm_request::AlarmAction::Get, pb::AlarmType::None),
        }
    }

    /// Calls of users; then the end of that. Only what 3.4 guards too; and no transactions inside, at which it does not look.
    fn guarded(&mut self, left: u32) -> Call {
        if left == 0 {
            let end = [Account::Disable, Account::log_in("root")];
            self.ahead = end.map(Call::Account).into();
            return self.next();
        }
        self.mode = Mode::Guarded(left - 1);
        match self.rng.u32(0..100) {
            0..20 => Call::Account(Account::log_in_any(&mut self.rng)),
            20..23 => Call::Account(Account::LogOut),
            23..40 => Call::Put(self.put()),
            40..60 => Call::Range(self.range()),
            60..68 => Call::Delete(self.delete()),
            68..80 => Call::Txn(self.guarded_txn()),
            80..83 if self.kind == Kind::Group => Call::Membership(Membership::change(&mut self.rng)),
            80..83 if !self.is_old => Call::Account(Account::Status),
            83 => Call::Health(""),
            _ => self.account(),
        }
    }

    /// One that does something: for nothing, etcd asks nobody who he is. In it 3.4 gives previous values and leases to anybody.
    fn guarded_txn(&mut self) -> pb::TxnRequest {
        loop {
            let mut txn = self.txn(0);
            for op in txn.success.iter_mut().chain(&mut txn.failure) {
                if let Some(Request::RequestPut(put)) = &mut op.request {
                    (put.prev_kv, put.lease) = (false, 0);
                }
            }
            if !(txn.compare.is_empty() && txn.success.is_empty() && txn.failure.is_empty()) {
                return txn;
            }
        }
    }

    fn account(&mut self) -> Call {
        let key = self.key();
        let end = self.end(&key);
        Call::Account(Account::any(&mut self.rng, (key, end)))
    }

    /// What the other services are asked, and what opens a stretch of calls that not everybody may do.
    fn rare(&mut self) -> Call {
        match self.rng.u32(0..100) {
            0..48 => self.account(),
            48..60 => Call::Membership(Membership::any(&mut self.rng, self.kind)),
            60..68 => Call::Queue(self.queue()),
            68..71 => Call::Hash,
            71..73 => Call::Health(if self.rng.bool() { "" } else { "etcdserverpb.KV" }),
            73..82 => Call::Status,
            82..84 => Call::Defragment,
            84..86 if !self.is_old => Call::Account(Account::Status),
            84..90 => {
                self.ahead = Account::preparations().into_iter().rev().map(Call::Account).collect();
                self.next()
            }
            90..94 => alarm(pb::alarm_request::AlarmAction::Get, pb::AlarmType::None),
            94..96 => alarm(pb::alarm_request::AlarmAction::Deactivate, pb::AlarmType::Nospace),
            _ => {
                let kind = if self.rng.bool() { pb::AlarmType::Nospace } else { pb::AlarmType::Corrupt };
                self.mode = Mode::Alarmed(kind, self.rng.u32(5..20));
                alarm(pb::alarm_request::AlarmAction::Activate, kind)
            }
        }
    }

    fn free(&mut self) -> Call {
        if self.chance(10) {
            return self.rare();
        }
        match self.rng.u32(0..100) {
            0..30 => Call::Put(self.put()),
            30..50 => Call::Range(self.range()),
            50..58 => Call::Delete(self.delete()),
            58..80 => Call::Txn(self.txn(2)),
            80..81 => Call::Compact(self.compact()),
            81..84 => Call::Grant(self.grant()),
            84..86 => Call::Revoke(pb::LeaseRevokeRequest { id: self.lease() }),
            86..88 => Call::KeepAlive(self.lease()),
            88..90 => {
                Call::TimeToLive(pb::LeaseTimeToLiveRequest { id: self.lease(), keys: self.rng.bool() })
            }
            90..91 => Call::Leases,
            91..97 => Call::CreateWatch(self.watch()),
            _ => Call::CancelWatch(self.rng.i64(0..30)),
        }
    }

    fn queue(&mut self) -> Queue {
        let kind = if self.rng.bool() { Service::Lock } else { Service::Election };
        Queue { first: self.lease(), second: self.lease(), kind }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn key(&mut self) -> Bytes {
        match self.rng.usize(0..KEYS.len() * 10) {
            0 => Bytes::new(),
            n => Bytes::from_static(KEYS[n % KEYS.len()]),
        }
    }

    /// The end of a set of keys that starts at `key`: none, of a prefix, open, or anywhere.
    fn end(&mut self, key: &[u8]) -> Bytes {
        let end = match self.rng.u32(0..10) {
            0..5 => Bytes::new(),
            5..7 => {
                let mut end = key.to_vec();
                if let Some(last) = end.last_mut() {
                    *last = last.saturating_add(1);
                }
                end.into()
            }
            7 => Bytes::from_static(&[0]),
            _ => self.key(),
        };
        // Whether a user may do something with a set of no keys is a matter of chance in etcd.
        let is_none = !matches!(end.as_ref(), [] | [0]) && end <= key;
        if is_none && matches!(self.mode, Mode::Guarded(_)) { Bytes::new() } else { end }
    }

    /// 0, or a revision near the current one, before it mostly.
    pub(super) fn some_revision(&mut self) -> i64 {
        match self.rng.u32(0..10) {
            0..6 => 0,
            6..9 => self.rng.i64((self.compacted - 3).max(1)..=self.revision.max(2)),
            _ => self.revision + self.rng.i64(0..3),
        }
    }

    fn bound(&mut self) -> i64 {
        if self.chance(80) { 0 } else { self.rng.i64(0..=self.revision + 1) }
    }

    fn value(&mut self) -> Bytes {
        Bytes::from_static([&b""[..], b"1", b"2", b"three"][self.rng.usize(0..4)])
    }

    fn lease(&mut self) -> i64 {
        self.rng.i64(1..7)
    }

    fn range(&mut self) -> pb::RangeRequest {
        let key = self.key();
        let order = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend][self.rng.usize(0..3)];
        let target =
            [SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value]
                [self.rng.usize(0..5)];
        // Without an order, etcd cuts before it sorts.
        let unsorted = order == SortOrder::None && target != SortTarget::Key;
        pb::RangeRequest {
            range_end: self.end(&key),
            key,
            limit: if unsorted || self.chance(50) { 0 } else { self.rng.i64(-1..5) },
            revision: self.some_revision(),
            sort_order: order.into(),
            sort_target: target.into(),
            serializable: self.rng.bool(),
            keys_only: self.chance(20),
            count_only: self.chance(15),
            min_mod_revision: self.bound(),
            max_mod_revision: self.bound(),
            min_create_revision: self.bound(),
            max_create_revision: self.bound(),
        }
    }

    fn put(&mut self) -> pb::PutRequest {
        pb::PutRequest {
            key: self.key(),
            value: self.value(),
            lease: if self.chance(20) { self.lease() } else { 0 },
            prev_kv: self.rng.bool(),
            ignore_value: self.chance(10),
            ignore_lease: self.chance(10),
        }
    }

    fn delete(&mut self) -> pb::DeleteRangeRequest {
        let key = self.key();
        pb::DeleteRangeRequest { range_end: self.end(&key), key, prev_kv: self.rng.bool() }
    }

    fn txn(&mut self, depth: u32) -> pb::TxnRequest {
        let compare = (0..self.rng.usize(0..3)).map(|_| self.compare()).collect();
        let success = self.ops(depth);
        pb::TxnRequest { compare, success, failure: self.ops(depth) }
    }

    fn ops(&mut self, depth: u32) -> Vec<pb::RequestOp> {
        let many = if self.chance(1) { 129 } else { self.rng.usize(0..4) };
        // etcd overlooks a key that is put in one transaction inside and deleted in a later one, so there is at most one.
        let inner = self.rng.usize(0..4);
        (0..many).map(|n| pb::RequestOp { request: self.op(if n == inner { depth } else { 0 }) }).collect()
    }

    fn op(&mut self, depth: u32) -> Option<Request> {
        Some(match self.rng.u32(0..100) {
            0..40 => Request::RequestPut(self.put()),
            40..70 => Request::RequestRange(self.range()),
            70..80 => {
                let mut delete = self.delete();
                if delete.range_end.as_ref() == [0] {
                    // etcd overlooks a key that is put, and deleted by a set that is open.
                    delete.range_end.clear();
                }
                Request::RequestDeleteRange(delete)
            }
            80 => return None,
            _ if depth > 0 => Request::RequestTxn(self.txn(depth - 1)),
            _ => Request::RequestRange(self.range()),
        })
    }

    fn compare(&mut self) -> pb::Compare {
        let (key, number) = (self.key(), self.rng.i64(0..=self.revision));
        let targets = [
            (CompareTarget::Version, TargetUnion::Version(self.rng.i64(0..4))),
            (CompareTarget::Create, TargetUnion::CreateRevision(number)),
            (CompareTarget::Mod, TargetUnion::ModRevision(number)),
            (CompareTarget::Value, TargetUnion::Value(self.value())),
            (CompareTarget::Lease, TargetUnion::Lease(self.rng.i64(0..4))),
        ];
        let (target, union) = self.rng.choice(targets.clone()).unwrap();
        let other = self.rng.choice(targets).unwrap().1;
        let results =
            [CompareResult::Equal, CompareResult::Greater, CompareResult::Less, CompareResult::NotEqual];
        pb::Compare {
            result: self.rng.choice(results).unwrap().into(),
            target: target.into(),
            range_end: if self.chance(30) { self.end(&key) } else { Bytes::new() },
            key,
            target_union: match self.rng.u32(0..20) {
                0 => None,
                1 => Some(other),
                _ => Some(union),
            },
        }
    }

    fn compact(&mut self) -> pb::CompactionRequest {
        let revision = self.rng.i64(self.compacted.max(1)..=self.revision + 1);
        pb::CompactionRequest { revision, physical: self.chance(20) }
    }

    /// Long lives only: which of two short ones ends first is a race.
    fn grant(&mut self) -> pb::LeaseGrantRequest {
        let ttl = [3600, 10_000, 9_000_000_000, 9_000_000_001][self.rng.usize(0..4)];
        pb::LeaseGrantRequest { ttl, id: self.lease() }
    }

    fn watch(&mut self) -> pb::WatchCreateRequest {
        let key = self.key();
        let filters = match self.rng.u32(0..10) {
            0 => vec![0],
            1 => vec![1],
            2 => vec![0, 1],
            _ => Vec::new(),
        };
        pb::WatchCreateRequest {
            range_end: self.end(&key),
            key,
            start_revision: self.some_revision(),
            progress_notify: self.rng.bool(),
            filters,
            prev_kv: self.rng.bool(),
            watch_id: if self.rng.bool() { 0 } else { self.rng.i64(1..30) },
            fragment: self.rng.bool(),
        }
    }
}
