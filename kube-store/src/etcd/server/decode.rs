//! Requests of any bytes, taken as far as the store would see them.

use prost::Message;

use super::auth::{Needs, verify_token};
use super::{check, convert};
use crate::etcd::r#gen::etcdserverpb as pb;

/// Decodes `bytes` as each request that is more than a few numbers.
pub(crate) fn decode_requests(bytes: &[u8]) {
    if let Ok(request) = pb::RangeRequest::decode(bytes) {
        let _ = (check::range(&request), Needs::of_range(&request), convert::range_request(request));
    }
    if let Ok(request) = pb::PutRequest::decode(bytes) {
        let _ = (check::put(&request), Needs::of_put(&request), convert::put_request(request));
    }
    if let Ok(request) = pb::DeleteRangeRequest::decode(bytes) {
        let _ = (check::delete(&request), Needs::of_delete(&request), convert::delete_request(request));
    }
    if let Ok(request) = pb::TxnRequest::decode(bytes) {
        let _ = (check::txn(&request, 128), Needs::of_txn(&request), convert::txn_request(request));
    }
    if let Ok(request) = pb::WatchCreateRequest::decode(bytes) {
        let _ = convert::watch_request(request);
    }
    let _ = pb::WatchRequest::decode(bytes);
    let _ = pb::AuthRoleGrantPermissionRequest::decode(bytes);
    let _ = pb::User::decode(bytes);
    let _ = pb::Role::decode(bytes);
}

/// Looks at `bytes` as a token.
pub(crate) fn decode_token(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        verify_token(text);
    }
}
