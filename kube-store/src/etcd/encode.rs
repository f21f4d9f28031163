//! This crate's values as etcd's requests, and etcd's answers as this crate's values: the client's half of the translation.

use tonic::{Code, Status};

use super::r#gen::etcdserverpb as pb;
use crate::{
    Compare, CompareOp, CompareTarget, DeleteRequest, DeleteResponse, Error, Event, EventFilter, EventKind,
    InvalidRequest, KeyRange, KeyValue, Op, OpResult, Precondition, PutRequest, PutResponse, RangeContent,
    RangeRequest, RangeResponse, Revision, SortOrder, SortTarget, TxnRequest, TxnResponse, WatchRequest,
};

/// Key and end of a set of keys.
fn range(range: &KeyRange) -> (bytes::Bytes, bytes::Bytes) {
    /// What stands for the smallest key, and for no end.
    const ZERO: bytes::Bytes = bytes::Bytes::from_static(&[0]);
    let start = range.start();
    let start_or_zero = if start.is_empty() { ZERO } else { start.clone() };
    match range {
        KeyRange::Key(_) => (start, bytes::Bytes::new()),
        KeyRange::Range(_, end) if end.is_empty() => (ZERO, ZERO.clone()),
        _ => (start_or_zero, range.end().unwrap_or(ZERO)),
    }
}

fn key_value(kv: pb::KeyValue) -> KeyValue {
    KeyValue {
        key: kv.key,
        value: kv.value,
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    }
}

pub(super) fn event(event: pb::Event) -> Event {
    let kind = match event.r#type() {
        pb::event::EventType::Put => EventKind::Put,
        pb::event::EventType::Delete => EventKind::Delete,
    };
    Event { kind, kv: event.kv.map(key_value).unwrap_or_default(), prev: event.prev_kv.map(key_value) }
}

pub(super) fn revision(header: Option<&pb::ResponseHeader>) -> Revision {
    header.map_or(0, |header| header.revision)
}

pub(super) fn range_request(request: RangeRequest) -> pb::RangeRequest {
    use pb::range_request::{SortOrder as Order, SortTarget as Target};
    let (key, range_end) = range(&request.range);
    let (order, target) = match request.sort {
        None => (Order::None, Target::Key),
        Some(sort) => (
            match sort.order {
                SortOrder::Ascending => Order::Ascend,
                SortOrder::Descending => Order::Descend,
            },
            match sort.target {
                SortTarget::Key => Target::Key,
                SortTarget::Version => Target::Version,
                SortTarget::CreateRevision => Target::Create,
                SortTarget::ModRevision => Target::Mod,
                SortTarget::Value => Target::Value,
            },
        ),
    };
    pb::RangeRequest {
        key,
        range_end,
        limit: i64::try_from(request.limit).unwrap_or(i64::MAX),
        revision: request.revision().unwrap_or(0),
        sort_order: order.into(),
        sort_target: target.into(),
        serializable: false,
        keys_only: request.content == RangeContent::KeysOnly,
        count_only: request.content == RangeContent::CountOnly,
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    }
}

pub(super) fn range_response(response: pb::RangeResponse, at: Revision) -> RangeResponse {
    RangeResponse {
        revision: response.header.as_ref().map_or(at, |header| header.revision),
        kvs: response.kvs.into_iter().map(key_value).collect(),
        more: response.more,
        count: u64::try_from(response.count).unwrap_or(0),
    }
}

fn put_request(put: PutRequest) -> pb::PutRequest {
    pb::PutRequest {
        key: put.key,
        value: put.value,
        lease: put.lease,
        prev_kv: put.prev_kv,
        ignore_value: put.ignore_value,
        ignore_lease: put.ignore_lease,
    }
}

fn delete_request(delete: &DeleteRequest) -> pb::DeleteRangeRequest {
    let (key, range_end) = range(&delete.range);
    pb::DeleteRangeRequest { key, range_end, prev_kv: delete.prev_kv }
}

pub(super) fn txn_request(request: TxnRequest) -> pb::TxnRequest {
    let ops = |ops: Vec<Op>| ops.into_iter().map(op).collect();
    pb::TxnRequest {
        compare: request.compares.into_iter().map(compare).collect(),
        success: ops(request.success),
        failure: ops(request.failure),
    }
}

fn op(op: Op) -> pb::RequestOp {
    use pb::request_op::Request;
    let request = match op {
        Op::Range(range) => Request::RequestRange(range_request(range)),
        Op::Put(put) => Request::RequestPut(put_request(put)),
        Op::Delete(delete) => Request::RequestDeleteRange(delete_request(&delete)),
        Op::Txn(txn) => Request::RequestTxn(txn_request(*txn)),
    };
    pb::RequestOp { request: Some(request) }
}

fn compare(compare: Compare) -> pb::Compare {
    use pb::compare::{CompareResult, CompareTarget as Target, TargetUnion};
    let (key, range_end) = range(&compare.range);
    let result = match compare.op {
        CompareOp::Equal => CompareResult::Equal,
        CompareOp::NotEqual => CompareResult::NotEqual,
        CompareOp::Greater => CompareResult::Greater,
        CompareOp::Less => CompareResult::Less,
    };
    let (target, union) = match compare.target {
        CompareTarget::Value(value) => (Target::Value, TargetUnion::Value(value)),
        CompareTarget::Version(n) => (Target::Version, TargetUnion::Version(n)),
        CompareTarget::CreateRevision(n) => (Target::Create, TargetUnion::CreateRevision(n)),
        CompareTarget::ModRevision(n) => (Target::Mod, TargetUnion::ModRevision(n)),
        CompareTarget::Lease(n) => (Target::Lease, TargetUnion::Lease(n)),
    };
    pb::Compare { result: result.into(), target: target.into(), key, target_union: Some(union), range_end }
}

/// The parts of a transaction's answer carry no revision of their own on the wire; they get the transaction's, `at`.
pub(super) fn txn_response(response: pb::TxnResponse, at: Revision) -> TxnResponse {
    use pb::response_op::Response;
    let results = response.responses.into_iter().filter_map(|op| {
        Some(match op.response? {
            Response::ResponseRange(range) => OpResult::Range(range_response(range, at)),
            Response::ResponsePut(put) => {
                let revision = put.header.map_or(at, |header| header.revision);
                OpResult::Put(PutResponse { revision, prev: put.prev_kv.map(key_value) })
            }
            Response::ResponseDeleteRange(delete) => OpResult::Delete(DeleteResponse {
                revision: delete.header.map_or(at, |header| header.revision),
                deleted: u64::try_from(delete.deleted).unwrap_or(0),
                prev: delete.prev_kvs.into_iter().map(key_value).collect(),
            }),
            Response::ResponseTxn(txn) => OpResult::Txn(txn_response(txn, at)),
        })
    });
    TxnResponse { revision: at, succeeded: response.succeeded, results: results.collect() }
}

pub(super) fn watch_request(request: &WatchRequest) -> pb::WatchRequest {
    use pb::watch_create_request::FilterType;
    let (key, range_end) = range(&request.range);
    let filters = match request.filter {
        EventFilter::All => Vec::new(),
        EventFilter::PutsOnly => vec![FilterType::Nodelete.into()],
        EventFilter::DeletesOnly => vec![FilterType::Noput.into()],
        EventFilter::Nothing => vec![FilterType::Noput.into(), FilterType::Nodelete.into()],
    };
    let create = pb::WatchCreateRequest {
        key,
        range_end,
        start_revision: request.start_revision.unwrap_or(0).max(0),
        progress_notify: request.progress_notify,
        filters,
        prev_kv: request.prev_kv,
        watch_id: 0,
        fragment: false,
    };
    pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) }
}

/// What a status means, by its text where the code says too little. Compaction's revision is not in it and has to be asked for.
pub(super) fn error(status: &Status, asked: Revision, lease: i64) -> Error {
    let says = |text: &str| status.message().contains(text);
    match status.code() {
        Code::OutOfRange if says("compacted") => Error::Compacted { compacted: 0 },
        Code::OutOfRange if says("future") => Error::FutureRevision { requested: asked, current: 0 },
        Code::OutOfRange => InvalidRequest::LeaseTtl.into(),
        Code::NotFound if says("lease") => Precondition::LeaseNotFound(lease).into(),
        Code::FailedPrecondition if says("lease already exists") => Precondition::LeaseExists(lease).into(),
        Code::InvalidArgument => invalid(status),
        Code::ResourceExhausted if says("space exceeded") => Error::NoSpace { used: 0, quota: 0 },
        Code::DataLoss => Error::Corrupt { what: status.message().to_owned() },
        _ => Error::Unavailable { reason: status.to_string() },
    }
}

fn invalid(status: &Status) -> Error {
    let says = |text: &str| status.message().contains(text);
    match () {
        () if says("key not found") => Precondition::KeyNotFound.into(),
        () if says("key is not provided") => InvalidRequest::EmptyKey.into(),
        () if says("duplicate key") => InvalidRequest::DuplicateKey(bytes::Bytes::new()).into(),
        () if says("too many operations") => InvalidRequest::TooManyOps { found: 0, limit: 0 }.into(),
        () if says("too large") => InvalidRequest::TooLarge { found: 0, limit: 0 }.into(),
        () if says("value is provided") => InvalidRequest::ValueProvided.into(),
        () if says("lease is provided") => InvalidRequest::LeaseProvided.into(),
        () => Error::Unavailable { reason: status.to_string() },
    }
}
