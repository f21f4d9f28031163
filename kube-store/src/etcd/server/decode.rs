//! Requests of any bytes, taken as far as the store would see them; and bytes that are taken.

use prost::Message;

use super::auth::{Needs, sign_token, verify_token};
use super::bolt::write::{Bucket, Writer};
use super::history::{KEYS, META, revision_key};
use super::{check, convert};
use crate::etcd::r#gen::etcdserverpb as pb;

/// Decodes `bytes` as each request that is more than a few numbers; answers whether it is one.
pub(crate) fn decode_requests(bytes: &[u8]) -> bool {
    if let Ok(request) = pb::RangeRequest::decode(bytes) {
        let _ = (check::range(&request), Needs::of_range(&request), convert::range_request(request));
    }
    if let Ok(request) = pb::PutRequest::decode(bytes) {
        let _ = (check::put(&request), Needs::of_put(&request), convert::put_request(request));
    }
    if let Ok(request) = pb::DeleteRangeRequest::decode(bytes) {
        let _ = (check::delete(&request), Needs::of_delete(&request), convert::delete_request(request));
    }
    let txn = pb::TxnRequest::decode(bytes);
    let is_txn = txn.is_ok();
    if let Ok(request) = txn {
        let _ = (check::txn(&request, 128), Needs::of_txn(&request), convert::txn_request(request));
    }
    if let Ok(request) = pb::WatchCreateRequest::decode(bytes) {
        let _ = convert::watch_request(request);
    }
    let _ = pb::WatchRequest::decode(bytes);
    let _ = pb::AuthRoleGrantPermissionRequest::decode(bytes);
    let _ = pb::User::decode(bytes);
    let _ = pb::Role::decode(bytes);
    is_txn || pb::RangeRequest::decode(bytes).is_ok() || pb::PutRequest::decode(bytes).is_ok()
}

/// Looks at `bytes` as a token; answers whether it is a user's.
pub(crate) fn decode_token(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(verify_token)
}

/// One request of each kind that has parts.
#[cfg_attr(not(feature = "raft"), expect(dead_code, reason = "the table of decoders needs both features"))]
pub(crate) fn valid_requests() -> Vec<Vec<u8>> {
    use pb::compare::{CompareResult, CompareTarget, TargetUnion};
    use pb::request_op::Request;
    let range = pb::RangeRequest { key: "a".into(), range_end: "z".into(), limit: 7, ..Default::default() };
    let put = pb::PutRequest { key: "a".into(), value: "one".into(), lease: 7, ..Default::default() };
    let delete = pb::DeleteRangeRequest { key: "b".into(), range_end: "c".into(), prev_kv: true };
    let compare = pb::Compare {
        result: CompareResult::Greater.into(),
        target: CompareTarget::Mod.into(),
        key: "a".into(),
        range_end: "b".into(),
        target_union: Some(TargetUnion::ModRevision(7)),
    };
    let op = |request| pb::RequestOp { request: Some(request) };
    let inner = pb::TxnRequest { success: vec![op(Request::RequestPut(put.clone()))], ..Default::default() };
    let txn = pb::TxnRequest {
        compare: vec![compare],
        success: vec![op(Request::RequestTxn(inner)), op(Request::RequestDeleteRange(delete))],
        failure: vec![op(Request::RequestRange(range.clone()))],
    };
    vec![range.encode_to_vec(), put.encode_to_vec(), txn.encode_to_vec()]
}

/// The token of the user that [`decode_token`] knows.
#[cfg_attr(not(feature = "raft"), expect(dead_code, reason = "the table of decoders needs both features"))]
pub(crate) fn valid_token() -> Vec<u8> {
    sign_token().unwrap_or_default().into_bytes()
}

/// A database with two versions of a key.
#[cfg_attr(not(feature = "raft"), expect(dead_code, reason = "the table of decoders needs both features"))]
pub(crate) fn valid_snapshot() -> Vec<u8> {
    let write = || {
        let mut writer = Writer::new(std::io::Cursor::new(Vec::new()))?;
        let mut bucket = Bucket::default();
        for revision in 2..4 {
            let kv = pb::KeyValue {
                key: "a".into(),
                value: "value".into(),
                create_revision: 2,
                mod_revision: revision,
                version: revision - 1,
                lease: 0,
            };
            writer.add(&mut bucket, &revision_key(revision, 0), &kv.encode_to_vec())?;
        }
        writer.finish_bucket(KEYS.as_bytes(), bucket)?;
        writer.finish_bucket(META.as_bytes(), Bucket::default())?;
        Ok::<_, std::io::Error>(writer.finish()?.into_inner())
    };
    // Nothing fails in memory.
    write().unwrap_or_default()
}
