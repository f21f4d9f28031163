//! Rules that etcd's API has for a request whatever the store is, in the order in which etcd looks at them.

use tonic::Status;

use crate::etcd::r#gen::etcdserverpb as pb;

type Checked = Result<(), Status>;

/// Checks a range.
pub(super) fn range(request: &pb::RangeRequest) -> Checked {
    key(&request.key)
}

/// Checks a put.
pub(super) fn put(request: &pb::PutRequest) -> Checked {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(Status::invalid_argument("etcdserver: value is provided"));
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Status::invalid_argument("etcdserver: lease is provided"));
    }
    Ok(())
}

/// Checks a delete.
pub(super) fn delete(request: &pb::DeleteRangeRequest) -> Checked {
    key(&request.key)
}

/// Checks a transaction of at most `max_ops` operations in a list, which those inside have to share with it.
pub(super) fn txn(request: &pb::TxnRequest, max_ops: usize) -> Checked {
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = max_ops
        .checked_sub(ops)
        .ok_or_else(|| Status::invalid_argument("etcdserver: too many operations in txn request"))?;
    request.compare.iter().try_for_each(|compare| key(&compare.key))?;
    request.success.iter().chain(&request.failure).try_for_each(|item| op(item, left))
}

fn op(op: &pb::RequestOp, left: usize) -> Checked {
    use pb::request_op::Request;
    match &op.request {
        Some(Request::RequestRange(request)) => range(request),
        Some(Request::RequestPut(request)) => put(request),
        Some(Request::RequestDeleteRange(request)) => delete(request),
        Some(Request::RequestTxn(request)) => txn(request, left),
        // What etcd calls an operation that is none.
        None => Err(Status::invalid_argument("etcdserver: key not found")),
    }
}

fn key(key: &[u8]) -> Checked {
    if key.is_empty() { Err(Status::invalid_argument("etcdserver: key is not provided")) } else { Ok(()) }
}
