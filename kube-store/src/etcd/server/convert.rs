//! Between etcd's messages and this crate's values.

use bytes::Bytes;
use tonic::Status;

use super::group::Stamp;
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{
    Compare, CompareOp, CompareTarget, DeleteRequest, DeleteResponse, Error, Event, EventFilter, EventKind,
    InvalidRequest, KeyRange, KeyValue, Op, OpResult, Precondition, PutRequest, PutResponse, RangeContent,
    RangeRequest, RangeResponse, Sort, SortOrder, SortTarget, TxnRequest, TxnResponse, WatchRequest,
};

/// etcd's way to name a set of keys: no end is one key, an end of one zero byte is open.
pub(super) fn range(key: Bytes, end: Bytes) -> KeyRange {
    match (key.as_ref(), end.as_ref()) {
        (_, []) => KeyRange::Key(key),
        ([] | [0], [0]) => KeyRange::All,
        (_, [0]) => KeyRange::From(key),
        _ => {
            let prefix = KeyRange::Prefix(key.clone());
            // Prefixes are the common case and are matched faster.
            if !key.is_empty() && prefix.end().as_ref() == Some(&end) {
                prefix
            } else {
                KeyRange::Range(key, end)
            }
        }
    }
}

pub(super) fn key_value(kv: KeyValue) -> pb::KeyValue {
    pb::KeyValue {
        key: kv.key,
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: kv.value,
        lease: kv.lease,
    }
}

pub(super) fn event(event: Event) -> pb::Event {
    let kind = match event.kind {
        EventKind::Put => pb::event::EventType::Put,
        EventKind::Delete => pb::event::EventType::Delete,
    };
    pb::Event { r#type: kind.into(), kv: Some(key_value(event.kv)), prev_kv: event.prev.map(key_value) }
}

pub(super) fn range_request(request: pb::RangeRequest) -> RangeRequest {
    let (order, target) = (request.sort_order(), request.sort_target());
    RangeRequest {
        range: range(request.key, request.range_end),
        revision: Some(request.revision),
        limit: usize::try_from(request.limit).unwrap_or(0),
        sort: sort(order, target),
        content: match (request.count_only, request.keys_only) {
            (true, _) => RangeContent::CountOnly,
            (false, true) => RangeContent::KeysOnly,
            (false, false) => RangeContent::KeysAndValues,
        },
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    }
}

/// Sorting by anything but the key is ascending when no order is given.
fn sort(order: pb::range_request::SortOrder, target: pb::range_request::SortTarget) -> Option<Sort> {
    use pb::range_request::{SortOrder as Order, SortTarget as Target};
    let order = match (order, target) {
        (Order::None | Order::Ascend, Target::Key) => return None,
        (Order::None | Order::Ascend, _) => SortOrder::Ascending,
        (Order::Descend, _) => SortOrder::Descending,
    };
    let target = match target {
        Target::Key => SortTarget::Key,
        Target::Version => SortTarget::Version,
        Target::Create => SortTarget::CreateRevision,
        Target::Mod => SortTarget::ModRevision,
        Target::Value => SortTarget::Value,
    };
    Some(Sort { target, order })
}

pub(super) fn range_response(stamp: Stamp, response: RangeResponse) -> pb::RangeResponse {
    pb::RangeResponse {
        header: stamp.header(response.revision),
        kvs: response.kvs.into_iter().map(key_value).collect(),
        more: response.more,
        count: i64::try_from(response.count).unwrap_or(i64::MAX),
    }
}

pub(super) fn put_request(request: pb::PutRequest) -> PutRequest {
    PutRequest {
        key: request.key,
        value: request.value,
        lease: request.lease,
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

pub(super) fn put_response(stamp: Stamp, response: PutResponse) -> pb::PutResponse {
    pb::PutResponse { header: stamp.header(response.revision), prev_kv: response.prev.map(key_value) }
}

pub(super) fn delete_request(request: pb::DeleteRangeRequest) -> DeleteRequest {
    DeleteRequest { range: range(request.key, request.range_end), prev_kv: request.prev_kv }
}

pub(super) fn delete_response(stamp: Stamp, response: DeleteResponse) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header: stamp.header(response.revision),
        deleted: i64::try_from(response.deleted).unwrap_or(i64::MAX),
        prev_kvs: response.prev.into_iter().map(key_value).collect(),
    }
}

pub(super) fn txn_request(request: pb::TxnRequest) -> TxnRequest {
    let ops = |ops: Vec<pb::RequestOp>| ops.into_iter().filter_map(op).collect();
    TxnRequest {
        compares: request.compare.into_iter().map(compare).collect(),
        success: ops(request.success),
        failure: ops(request.failure),
    }
}

fn op(op: pb::RequestOp) -> Option<Op> {
    use pb::request_op::Request;
    Some(match op.request? {
        Request::RequestRange(range) => range_request(range).into(),
        Request::RequestPut(put) => put_request(put).into(),
        Request::RequestDeleteRange(delete) => delete_request(delete).into(),
        Request::RequestTxn(txn) => txn_request(txn).into(),
    })
}

fn compare(compare: pb::Compare) -> Compare {
    use pb::compare::{CompareResult, CompareTarget as Target, TargetUnion as Given};
    let (result, target) = (compare.result(), compare.target());
    // What is left out, or does not fit its target, is 0 or empty.
    let target = match (target, compare.target_union) {
        (Target::Value, Some(Given::Value(value))) => CompareTarget::Value(value),
        (Target::Value, _) => CompareTarget::Value(Bytes::new()),
        (Target::Version, Some(Given::Version(n))) => CompareTarget::Version(n),
        (Target::Version, _) => CompareTarget::Version(0),
        (Target::Create, Some(Given::CreateRevision(n))) => CompareTarget::CreateRevision(n),
        (Target::Create, _) => CompareTarget::CreateRevision(0),
        (Target::Mod, Some(Given::ModRevision(n))) => CompareTarget::ModRevision(n),
        (Target::Mod, _) => CompareTarget::ModRevision(0),
        (Target::Lease, Some(Given::Lease(n))) => CompareTarget::Lease(n),
        (Target::Lease, _) => CompareTarget::Lease(0),
    };
    let op = match result {
        CompareResult::Equal => CompareOp::Equal,
        CompareResult::NotEqual => CompareOp::NotEqual,
        CompareResult::Greater => CompareOp::Greater,
        CompareResult::Less => CompareOp::Less,
    };
    Compare { op, target, range: range(compare.key, compare.range_end) }
}

pub(super) fn txn_response(stamp: Stamp, response: TxnResponse) -> pb::TxnResponse {
    pb::TxnResponse {
        header: stamp.header(response.revision),
        succeeded: response.succeeded,
        responses: response.results.into_iter().map(|result| response_op(stamp, result)).collect(),
    }
}

/// An answer inside of a transaction's, which says nothing of who answers.
fn response_op(stamp: Stamp, result: OpResult) -> pb::ResponseOp {
    use pb::response_op::Response;
    let bare = |revision| Some(pb::ResponseHeader { revision, ..Default::default() });
    let response = match result {
        OpResult::Range(range) => {
            let header = bare(range.revision);
            Response::ResponseRange(pb::RangeResponse { header, ..range_response(stamp, range) })
        }
        OpResult::Put(put) => {
            let header = bare(put.revision);
            Response::ResponsePut(pb::PutResponse { header, ..put_response(stamp, put) })
        }
        OpResult::Delete(delete) => {
            let header = bare(delete.revision);
            Response::ResponseDeleteRange(pb::DeleteRangeResponse {
                header,
                ..delete_response(stamp, delete)
            })
        }
        // Nor does one of a transaction inside say its revision.
        OpResult::Txn(txn) => {
            Response::ResponseTxn(pb::TxnResponse { header: bare(0), ..txn_response(stamp, txn) })
        }
    };
    pb::ResponseOp { response: Some(response) }
}

pub(super) fn watch_request(request: pb::WatchCreateRequest) -> WatchRequest {
    use pb::watch_create_request::FilterType;
    let no_puts = request.filters().any(|filter| filter == FilterType::Noput);
    let no_deletes = request.filters().any(|filter| filter == FilterType::Nodelete);
    WatchRequest {
        filter: match (no_puts, no_deletes) {
            (true, true) => EventFilter::Nothing,
            (true, false) => EventFilter::DeletesOnly,
            (false, true) => EventFilter::PutsOnly,
            (false, false) => EventFilter::All,
        },
        range: range(request.key, request.range_end),
        start_revision: Some(request.start_revision),
        prev_kv: request.prev_kv,
        progress_notify: request.progress_notify,
    }
}

/// The status and the text that etcd's clients know; Go's compares the text.
pub(super) fn status(error: Error) -> Status {
    match error {
        Error::Compacted { .. } => Status::out_of_range(COMPACTED),
        Error::FutureRevision { .. } => {
            Status::out_of_range("etcdserver: mvcc: required revision is a future revision")
        }
        Error::Invalid(invalid) => invalid_status(&invalid),
        Error::Precondition(precondition) => precondition_status(&precondition),
        Error::NoSpace { .. } => Status::resource_exhausted("etcdserver: mvcc: database space exceeded"),
        Error::NotLeader { .. } => Status::unavailable("etcdserver: leader changed"),
        Error::Unavailable { reason } => Status::unavailable(format!("etcdserver: {reason}")),
        Error::WatcherTooSlow => Status::unavailable("etcdserver: watcher is too slow"),
        Error::Storage(_) => Status::unavailable("etcdserver: server stopped"),
        Error::Corrupt { .. } => Status::data_loss("etcdserver: corrupt cluster"),
    }
}

fn precondition_status(precondition: &Precondition) -> Status {
    match precondition {
        Precondition::KeyNotFound => Status::invalid_argument("etcdserver: key not found"),
        Precondition::LeaseNotFound(_) => Status::not_found("etcdserver: requested lease not found"),
        Precondition::LeaseExists(_) => Status::failed_precondition("etcdserver: lease already exists"),
        Precondition::MemberNotFound(_) => Status::not_found("etcdserver: member not found"),
        Precondition::MemberExists(_) => Status::failed_precondition("etcdserver: member ID already exist"),
        Precondition::NotLearner(_) => {
            Status::failed_precondition("etcdserver: can only promote a learner member")
        }
        Precondition::LearnerBehind => Status::failed_precondition(
            "etcdserver: can only promote a learner member which is in sync with leader",
        ),
        Precondition::LastVoter => Status::failed_precondition(super::group::NOT_ENOUGH),
    }
}

/// What etcd says for a compacted revision.
pub(super) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

fn invalid_status(invalid: &InvalidRequest) -> Status {
    match invalid {
        InvalidRequest::EmptyKey => Status::invalid_argument("etcdserver: key is not provided"),
        InvalidRequest::DuplicateKey(_) => {
            Status::invalid_argument("etcdserver: duplicate key given in txn request")
        }
        InvalidRequest::TooManyOps { .. } | InvalidRequest::TooDeep { .. } => {
            Status::invalid_argument("etcdserver: too many operations in txn request")
        }
        InvalidRequest::TooLarge { .. } => Status::invalid_argument("etcdserver: request is too large"),
        InvalidRequest::ValueProvided => Status::invalid_argument("etcdserver: value is provided"),
        InvalidRequest::LeaseProvided => Status::invalid_argument("etcdserver: lease is provided"),
        InvalidRequest::NoRecords => Status::unimplemented(format!("etcdserver: {invalid}")),
        InvalidRequest::LeaseTtl => Status::out_of_range("etcdserver: too large lease TTL"),
    }
}
