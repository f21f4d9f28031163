//! The same requests to Debian's etcd and to this crate's server: what they answer has to be the same, byte for byte.

use super::{enable_users, lines, log_in, post, serve_empty};
use crate::peer::Etcd;

/// Requests, in this order, since one builds on those before. What differs by release or by chance is not among them: the header
/// of alarms, numbers of leases, hashes.
const REQUESTS: &[(&str, &str)] = &[
    ("kv/put", r#"{"key":"YQ==","value":"MQ=="}"#),
    ("kv/put", r#"{"key":"YQ==","value":"Mg==","prev_kv":true}"#),
    ("kv/put", r#"{"key":"YQ==","value":"Mw==","prevKv":true,"ignore_lease":false,"other":{}}"#),
    ("kv/put", r#"{"key":"YQ==","ignore_value":true,"value":"Mw=="}"#),
    ("kv/put", r#"{"key":"Yg==","value":null}"#),
    ("kv/put", r#"{"key":"Yy+/","value":"//79PA=="}"#),
    ("kv/range", r#"{"key":"YQ=="}"#),
    ("kv/range", r#"{"key":"YQ==","range_end":"ZA==","limit":"2"}"#),
    ("kv/range", r#"{"key":"YQ==","rangeEnd":"ZA==","sortOrder":"DESCEND","sort_target":"CREATE"}"#),
    ("kv/range", r#"{"key":"YQ==","range_end":"ZA==","sort_order":1,"sort_target":3,"keys_only":true}"#),
    ("kv/range", r#"{"key":"YQ==","range_end":"ZA==","count_only":true}"#),
    ("kv/range", r#"{"key":"YQ==","revision":2,"serializable":true}"#),
    ("kv/range", r#"{"key":"YQ==","revision":"99"}"#),
    ("kv/range", r#"{"key":"eg=="} and more"#),
    (
        "kv/txn",
        r#"{"compare":[{"key":"YQ==","result":"GREATER","target":"VERSION","version":"1"}],
            "success":[{"request_put":{"key":"ZQ==","value":"MQ==","prev_kv":true}},
                {"requestRange":{"key":"YQ=="}},{"request_delete_range":{"key":"Yg==","prev_kv":true}},
                {"request_txn":{"compare":[{"key":"bm8=","target":"CREATE","create_revision":0}],
                    "success":[{"request_range":{"key":"ZQ=="}}]}}]}"#,
    ),
    ("kv/txn", r#"{"compare":[{"key":"YQ==","target":"VALUE","value":"bm8="}],"failure":[]}"#),
    ("kv/txn", r#"{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}"#),
    ("kv/txn", r#"{"success":[{"Request":{"RequestPut":{"key":"YQ=="}}}]}"#),
    ("kv/txn", "{}"),
    ("kv/deleterange", r#"{"key":"ZQ==","range_end":"Zg==","prev_kv":true}"#),
    ("kv/deleterange", r#"{"key":"ZQ=="}"#),
    ("kv/deleterange", ""),
    ("kv/compaction", r#"{"revision":"3","physical":true}"#),
    ("kv/compaction", r#"{"revision":"3"}"#),
    ("kv/range", r#"{"key":"YQ==","revision":"2"}"#),
    ("lease/grant", r#"{"ID":"77","TTL":1000}"#),
    ("lease/grant", r#"{"ID":77,"TTL":"1000"}"#),
    ("kv/put", r#"{"key":"bA==","lease":77}"#),
    ("kv/put", r#"{"key":"bA==","lease":"78"}"#),
    ("lease/timetolive", r#"{"ID":"77","keys":true}"#),
    ("kv/lease/timetolive", r#"{"ID":"78"}"#),
    ("lease/leases", "{}"),
    ("kv/lease/leases", ""),
    ("lease/keepalive", r#"{"ID":"77"}"#),
    ("lease/keepalive", r#"{"ID":"77"} {"ID":78}{"ID":"#),
    ("lock/lock", r#"{"name":"bG9jaw==","lease":"77"}"#),
    ("lock/unlock", r#"{"key":"bG9jay80ZA=="}"#),
    ("election/leader", r#"{"name":"ZWxlY3Q="}"#),
    ("election/campaign", r#"{"name":"ZWxlY3Q=","value":"MQ==","lease":"77"}"#),
    ("election/leader", r#"{"name":"ZWxlY3Q="}"#),
    ("election/proclaim", r#"{"value":"MQ=="}"#),
    ("election/proclaim", r#"{"leader":{"name":"ZWxlY3Q=","key":"ZWxlY3QvNGQ=","rev":"13"},"value":"Mg=="}"#),
    ("election/resign", "{}"),
    ("lease/revoke", r#"{"ID":"77"}"#),
    ("kv/lease/revoke", r#"{"ID":"77"}"#),
    ("maintenance/defragment", "{}"),
    ("cluster/member/remove", r#"{"ID":"7"}"#),
    ("cluster/member/promote", r#"{"ID":"7"}"#),
    ("cluster/member/update", r#"{"ID":"7","peerURLs":["http://127.0.0.1:1"]}"#),
    ("auth/authenticate", r#"{"name":"a","password":"b"}"#),
    ("auth/enable", "{}"),
    ("auth/disable", ""),
    ("auth/user/add", r#"{"name":"<&>\"\\\u2028\u0001é","password":"pw"}"#),
    ("auth/user/add", r#"{"name":"<&>\"\\\u2028\u0001é","password":"pw"}"#),
    ("auth/user/add", r#"{"name":"ann","options":{"no_password":true}}"#),
    ("auth/user/list", "{}"),
    ("auth/user/changepw", r#"{"name":"bob","password":"x"}"#),
    ("auth/role/add", r#"{"name":"reader"}"#),
    ("auth/role/grant", r#"{"name":"reader","perm":{"key":"YQ==","range_end":"Yg=="}}"#),
    ("auth/role/grant", r#"{"name":"reader","perm":{"permType":"READWRITE","key":"eA=="}}"#),
    ("auth/role/grant", r#"{"name":"reader","perm":{"permType":1,"key":"eQ=="}}"#),
    ("auth/role/get", r#"{"role":"reader"}"#),
    ("auth/role/revoke", r#"{"role":"reader","key":"eA=="}"#),
    ("auth/role/revoke", r#"{"role":"reader","key":"eA=="}"#),
    ("auth/role/list", "{}"),
    ("auth/user/grant", r#"{"user":"ann","role":"reader"}"#),
    ("auth/user/get", r#"{"name":"ann"}"#),
    ("auth/user/revoke", r#"{"name":"ann","role":"reader"}"#),
    ("auth/user/revoke", r#"{"name":"ann","role":"reader"}"#),
    ("auth/role/delete", r#"{"role":"reader"}"#),
    ("auth/user/delete", r#"{"name":"ann"}"#),
    ("auth/user/delete", r#"{"name":"ann"}"#),
];

/// Those that the gateway itself refuses, where what it says is its own.
const NONSENSE: &[(&str, &str)] = &[
    ("kv/range", "7"),
    ("kv/range", "[]"),
    ("kv/range", "x"),
    ("kv/range", r#"{"key":"Zm9"}"#),
    ("kv/range", r#"{"key":{}}"#),
    ("kv/range", r#"{"key":"Zm9v","limit":"x"}"#),
    ("kv/range", r#"{"key":"Zm9v","limit":1.0}"#),
    ("kv/range", r#"{"key":"Zm9v","limit":"9223372036854775808"}"#),
    ("kv/range", r#"{"key":"Zm9v","serializable":"true"}"#),
    ("kv/range", r#"{"key":"Zm9v","sort_order":"1"}"#),
    ("kv/range", r#"{"key":"Zm9v""#),
    ("kv/txn", r#"{"compare":{}}"#),
    ("watch", "x"),
    ("lease/keepalive", r#"{"ID":"x"}"#),
    ("other", "{}"),
];

/// An answer without what has to differ: who answers, when, and what is left of a lease.
fn comparable((status, text): (u16, String)) -> (u16, String) {
    // The gateway of 3.5 has another status for what cannot be done now.
    let status = if status == 412 { 400 } else { status };
    if let Ok(object @ serde_json::Value::Object(_)) = serde_json::from_str(&text)
        && object.get("code").is_some()
    {
        // And another order in its errors.
        return (status, object.to_string());
    }
    let names = ["cluster_id", "member_id", "raft_term", "TTL"];
    (status, names.iter().fold(text, |text, name| blank(&text, name)))
}

/// A text without the values of a field that is a number.
fn blank(text: &str, name: &str) -> String {
    let begin = format!("\"{name}\":\"");
    let mut parts = text.split(&begin);
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    rest.fold(first, |text, part| text + &begin + part)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_as_etcd() {
    let Some(etcd) = Etcd::start().await else { return };
    let (theirs, ours) = (etcd.endpoint.trim_start_matches("http://"), &serve_empty().await);
    let mut differences = Vec::new();
    let mut compare = |what: &str, found: (u16, String), wanted: (u16, String)| {
        let (found, wanted) = (comparable(found), comparable(wanted));
        if found != wanted {
            differences.push(format!("{what}\nours: {found:?}\netcd: {wanted:?}"));
        }
    };
    for (path, body) in REQUESTS {
        let path = format!("/v3/{path}");
        let (found, wanted) = (post(ours, &path, "", body).await, post(theirs, &path, "", body).await);
        compare(&format!("{path} {body}"), found, wanted);
    }
    for (path, body, count) in [
        ("/v3/watch", r#"{"create_request":{"key":"YQ==","range_end":"Yg==","start_revision":"4"}}"#, 2),
        ("/v3/watch", r#"{"create_request":{"key":"YQ==","startRevision":1}}"#, 2),
        ("/v3/watch", r#"{"create_request":{"watch_id":4}}{"cancel_request":{"watch_id":4}}"#, 2),
    ] {
        let (found, wanted) = (lines(ours, path, "", body, count), lines(theirs, path, "", body, count));
        let ((found, ours), (wanted, theirs)) = (found.await, wanted.await);
        // Ours tell up to where they have reported, etcd's where the store is.
        let [ours, theirs] = [ours, theirs].map(|lines| blank(&lines.concat(), "revision"));
        compare(&format!("{path} {body}"), (found, ours), (wanted, theirs));
    }
    for (path, body) in NONSENSE {
        let path = format!("/v3/{path}");
        let ((found, _), (wanted, _)) =
            (post(ours, &path, "", body).await, post(theirs, &path, "", body).await);
        compare(&format!("{path} {body}"), (found, String::new()), (wanted, String::new()));
    }
    for address in [ours, theirs] {
        enable_users(address).await;
    }
    let (token, their_token) = (log_in(ours).await, log_in(theirs).await);
    for (path, body) in [
        ("/v3/auth/authenticate", r#"{"name":"root","password":"no"}"#),
        ("/v3/kv/range", r#"{"key":"YQ=="}"#),
        ("/v3/kv/put", r#"{"key":"YQ=="}"#),
        ("/v3/auth/user/list", "{}"),
        ("/v3/auth/user/get", r#"{"name":"root"}"#),
    ] {
        for (ours_says, theirs_says) in [("", ""), (&*token, &*their_token)] {
            let found = post(ours, path, ours_says, body).await;
            compare(
                &format!("{path} {body} {ours_says}"),
                found,
                post(theirs, path, theirs_says, body).await,
            );
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
