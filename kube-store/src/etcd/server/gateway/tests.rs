use prost::Message;

use super::messages as m;
use super::schema::Method;
use super::{answer, routes, to_json, to_wire};
use crate::etcd::r#gen::etcdserverpb as pb;
use pb::request_op::Request as Op;

/// The request that a JSON text tells.
fn request<M: Message + Default>(method: &Method, json: &str) -> Result<M, String> {
    let mut wire = Vec::new();
    to_wire::encode(method.request, json.as_bytes(), &mut wire).map_err(|error| error.to_string())?;
    Ok(M::decode(&wire[..]).unwrap())
}

/// What is told of a response.
fn told(method: &Method, response: &impl Message) -> String {
    let mut text = String::new();
    to_json::write(method.response, response.encode_to_vec().into(), &mut text).unwrap();
    text
}

#[test]
fn requests_are_read() {
    let all = pb::RangeRequest {
        key: "foo".into(),
        range_end: "fop".into(),
        limit: 5,
        revision: -1,
        sort_order: 2,
        sort_target: 3,
        serializable: true,
        min_mod_revision: i64::MAX,
        ..Default::default()
    };
    let key = pb::RangeRequest { key: "foo".into(), ..Default::default() };
    for (json, wanted) in [
        (
            r#"{"key":"Zm9v","range_end":"Zm9w","limit":"5","revision":-1,"sort_order":"DESCEND","sort_target":3,
                "serializable":true,"min_mod_revision":"9223372036854775807"}"#,
            &all,
        ),
        (
            r#"{"key":"Zm9v","rangeEnd":"Zm9w","limit":5,"revision":"-1","sortOrder":2,"sortTarget":"MOD",
                "serializable":true,"minModRevision":9223372036854775807,"keys_only":false,"keysOnly":null}"#,
            &all,
        ),
        (r#"{"key":"Zm9v","Key":"YQ==","more":{"key":["YQ=="]},"limit":null}"#, &key),
        (" \n{\"key\" : \"Zm9v\"}\t", &key),
        ("{}", &pb::RangeRequest::default()),
        ("null", &pb::RangeRequest::default()),
    ] {
        assert_eq!(request::<pb::RangeRequest>(&m::KV_RANGE, json).as_ref(), Ok(wanted), "{json}");
    }
}

#[test]
fn messages_in_messages_are_read() {
    let put = |value: &'static str| pb::RequestOp {
        request: Some(Op::RequestPut(pb::PutRequest {
            key: "k".into(),
            value: value.into(),
            ..Default::default()
        })),
    };
    let inner = pb::TxnRequest { success: vec![put("1"), put("2")], ..Default::default() };
    let wanted = pb::TxnRequest {
        compare: vec![pb::Compare {
            result: 3,
            target: 1,
            key: "k".into(),
            // A choice of the usual value is a choice.
            target_union: Some(pb::compare::TargetUnion::CreateRevision(0)),
            ..Default::default()
        }],
        success: Vec::new(),
        failure: vec![pb::RequestOp { request: Some(Op::RequestTxn(inner)) }],
    };
    let json = r#"{"compare":[{"result":"NOT_EQUAL","target":"CREATE","key":"aw==","create_revision":"0"}],"success":[],
        "failure":[{"request_txn":{"success":[{"requestPut":{"key":"aw==","value":"MQ=="}},
        {"request_put":{"key":"aw==","value":"Mg=="}}]}}]}"#;
    assert_eq!(request(&m::KV_TXN, json), Ok(wanted));
    let wanted = pb::WatchCreateRequest { filters: vec![1, 0], watch_id: -2, ..Default::default() };
    let wanted =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(wanted)) };
    let json = r#"{"create_request":{"filters":["NODELETE",0],"watch_id":"-2"}}"#;
    assert_eq!(request(&m::WATCH_WATCH, json), Ok(wanted));
    let wanted = pb::AlarmRequest { action: 1, member_id: u64::MAX, alarm: 2 };
    let json = r#"{"action":"ACTIVATE","memberID":"18446744073709551615","alarm":"CORRUPT"}"#;
    assert_eq!(request(&m::MAINTENANCE_ALARM, json), Ok(wanted));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let deep = format!("{}{}", r#"{"failure":[{"request_txn":"#.repeat(200), "}]}".repeat(200));
    for (method, json, words) in [
        (&m::KV_RANGE, "7", "expected an object"),
        (&m::KV_RANGE, "[]", "expected an object"),
        (&m::KV_RANGE, "x", "expected value"),
        (&m::KV_RANGE, r#"{"key":"Zm9v"} {}"#, "trailing characters"),
        (&m::KV_RANGE, r#"{"key":"Zm9"}"#, "base64 for the field key"),
        (&m::KV_RANGE, r#"{"key":"Zm-_"}"#, "base64 for the field key"),
        (&m::KV_RANGE, r#"{"key":7}"#, "base64 for the field key"),
        (&m::KV_RANGE, r#"{"key":["Zm9v"]}"#, "base64 for the field key"),
        (&m::KV_RANGE, r#"{"limit":"x"}"#, "number in its range for the field limit"),
        (&m::KV_RANGE, r#"{"limit":1.5}"#, "number in its range for the field limit"),
        (&m::KV_RANGE, r#"{"limit":true}"#, "number in its range for the field limit"),
        (&m::KV_RANGE, r#"{"limit":9223372036854775808}"#, "number in its range"),
        (&m::KV_RANGE, r#"{"serializable":"true"}"#, "boolean for the field serializable"),
        (&m::KV_RANGE, r#"{"serializable":1}"#, "boolean for the field serializable"),
        (&m::KV_RANGE, r#"{"sort_order":"x"}"#, "NONE, ASCEND, DESCEND for the field sort_order"),
        (&m::KV_RANGE, r#"{"sort_order":"1"}"#, "NONE, ASCEND, DESCEND for the field sort_order"),
        (&m::KV_RANGE, r#"{"sort_order":2147483648}"#, "NONE, ASCEND, DESCEND for the field sort_order"),
        (&m::MAINTENANCE_ALARM, r#"{"memberID":-1}"#, "number in its range for the field memberID"),
        (&m::KV_TXN, r#"{"compare":{}}"#, "an array for the field compare"),
        (&m::KV_TXN, r#"{"compare":[7]}"#, "an object for the field compare"),
        (&m::KV_TXN, r#"{"compare":[{"key":{}}]}"#, "base64 for the field key"),
        (&m::KV_TXN, &deep, "recursion limit"),
    ] {
        let mut wire = Vec::new();
        let refused = to_wire::encode(method.request, json.as_bytes(), &mut wire).unwrap_err().to_string();
        assert!(refused.contains(words), "{json}: {refused}");
    }
}

#[test]
fn responses_are_told() {
    let header = Some(pb::ResponseHeader { cluster_id: u64::MAX, revision: -1, ..Default::default() });
    let kv =
        pb::KeyValue { key: "foo".into(), version: 1, value: vec![0xff, 0xfe].into(), ..Default::default() };
    let range = pb::RangeResponse { header, kvs: vec![kv.clone(), Default::default()], more: true, count: 2 };
    assert_eq!(
        told(&m::KV_RANGE, &range),
        r#"{"header":{"cluster_id":"18446744073709551615","revision":"-1"},"kvs":[{"key":"Zm9v","version":"1","value":"//4="},{}],"more":true,"count":"2"}"#
    );
    assert_eq!(told(&m::KV_RANGE, &pb::RangeResponse::default()), "{}");
    let event = pb::Event { r#type: 1, kv: Some(kv), prev_kv: None };
    let watch = pb::WatchResponse { watch_id: 3, canceled: true, events: vec![event], ..Default::default() };
    assert_eq!(
        told(&m::WATCH_WATCH, &watch),
        r#"{"watch_id":"3","canceled":true,"events":[{"type":"DELETE","kv":{"key":"Zm9v","version":"1","value":"//4="}}]}"#
    );
    let alarms = pb::AlarmResponse {
        header: None,
        alarms: vec![pb::AlarmMember { member_id: 1, alarm: 1 }, pb::AlarmMember { member_id: 0, alarm: 9 }],
    };
    assert_eq!(
        told(&m::MAINTENANCE_ALARM, &alarms),
        r#"{"alarms":[{"memberID":"1","alarm":"NOSPACE"},{"alarm":9}]}"#
    );
    let hash = pb::HashKvResponse { hash: u32::MAX, compact_revision: -1, ..Default::default() };
    assert_eq!(told(&m::MAINTENANCE_HASH_KV, &hash), r#"{"hash":4294967295,"compact_revision":"-1"}"#);
    let inner = pb::TxnResponse { succeeded: true, ..Default::default() };
    let op = pb::ResponseOp { response: Some(pb::response_op::Response::ResponseTxn(inner)) };
    let txn = pb::TxnResponse { responses: vec![op], ..Default::default() };
    assert_eq!(told(&m::KV_TXN, &txn), r#"{"responses":[{"response_txn":{"succeeded":true}}]}"#);
    let keys = vec!["a".into(), bytes::Bytes::new()];
    let lease = pb::LeaseTimeToLiveResponse { granted_ttl: 5, keys, ..Default::default() };
    assert_eq!(told(&m::LEASE_LEASE_TIME_TO_LIVE, &lease), r#"{"grantedTTL":"5","keys":["YQ==",""]}"#);
}

/// As Go writes it for HTML.
#[test]
fn text_is_quoted() {
    let roles = vec!["a<b>&\"\\é\u{2028}\n\t\r\u{1}".to_owned(), String::new()];
    let response = pb::AuthUserGetResponse { header: None, roles };
    assert_eq!(
        told(&m::AUTH_USER_GET, &response),
        r#"{"roles":["a\u003cb\u003e\u0026\"\\é\u2028\n\t\r\u0001",""]}"#
    );
}

#[test]
fn fields_of_later_releases_are_not_told() {
    let wire = bytes::Bytes::from_static(&[0x08, 7, 0x82, 0x01, 1, 0xff, 0x20, 9]);
    let mut text = String::new();
    to_json::write(m::KV_RANGE.response, wire.slice(2..), &mut text).unwrap();
    assert_eq!(text, r#"{"count":"9"}"#);
    text.clear();
    to_json::write(m::KV_RANGE.response, wire, &mut text).unwrap_err();
}

#[test]
fn codes_have_the_status_that_the_gateway_gives_them() {
    let statuses = [200, 408, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, status) in (0..).zip(statuses) {
        assert_eq!(answer::http_status(tonic::Code::from_i32(code)).as_u16(), status, "{code}");
    }
    assert!(routes::find("/v3/kv/range").is_some());
}

/// Whatever bytes come, what is taken is a message, and what is told is JSON.
#[test]
fn bytes_that_were_changed_do_no_harm() {
    let json = br#"{"compare":[{"result":"NOT_EQUAL","key":"aw==","create_revision":"0"}],"success":[
        {"request_txn":{"failure":[{"request_put":{"key":"a\u0077==","lease":-7,"prev_kv":true}}]}}]}"#;
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut taken, mut told) = (0, 0);
    for _ in 0..20_000 {
        let mut changed = json.to_vec();
        for _ in 0..rng.usize(1..3) {
            let at = rng.usize(..changed.len());
            changed[at] = json[rng.usize(..json.len())];
        }
        let mut wire = Vec::new();
        if to_wire::encode(m::KV_TXN.request, &changed, &mut wire).is_ok() {
            pb::TxnRequest::decode(&wire[..]).unwrap();
            taken += 1;
        }
        let at = rng.usize(..=wire.len());
        wire.insert(at, rng.u8(..));
        let mut text = String::new();
        if to_json::write(m::KV_TXN.request, wire.into(), &mut text).is_ok() {
            serde_json::from_str::<serde::de::IgnoredAny>(&text).unwrap();
            told += 1;
        }
    }
    assert!(taken > 100 && told > 100, "{taken} {told}");
}
