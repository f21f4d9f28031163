//! Calls by method and outcome.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::{Code, Status};

use super::page::Page;
use crate::measure::{Counter, Histogram};

/// All methods, in order; those that are streams say so.
const METHODS: [(&str, &str, Kind); 41] = {
    use Kind::{Both, Down, One};
    [
        ("etcdserverpb.Auth", "AuthDisable", One),
        ("etcdserverpb.Auth", "AuthEnable", One),
        ("etcdserverpb.Auth", "AuthStatus", One),
        ("etcdserverpb.Auth", "Authenticate", One),
        ("etcdserverpb.Auth", "RoleAdd", One),
        ("etcdserverpb.Auth", "RoleDelete", One),
        ("etcdserverpb.Auth", "RoleGet", One),
        ("etcdserverpb.Auth", "RoleGrantPermission", One),
        ("etcdserverpb.Auth", "RoleList", One),
        ("etcdserverpb.Auth", "RoleRevokePermission", One),
        ("etcdserverpb.Auth", "UserAdd", One),
        ("etcdserverpb.Auth", "UserChangePassword", One),
        ("etcdserverpb.Auth", "UserDelete", One),
        ("etcdserverpb.Auth", "UserGet", One),
        ("etcdserverpb.Auth", "UserGrantRole", One),
        ("etcdserverpb.Auth", "UserList", One),
        ("etcdserverpb.Auth", "UserRevokeRole", One),
        ("etcdserverpb.Cluster", "MemberAdd", One),
        ("etcdserverpb.Cluster", "MemberList", One),
        ("etcdserverpb.Cluster", "MemberPromote", One),
        ("etcdserverpb.Cluster", "MemberRemove", One),
        ("etcdserverpb.Cluster", "MemberUpdate", One),
        ("etcdserverpb.KV", "Compact", One),
        ("etcdserverpb.KV", "DeleteRange", One),
        ("etcdserverpb.KV", "Put", One),
        ("etcdserverpb.KV", "Range", One),
        ("etcdserverpb.KV", "Txn", One),
        ("etcdserverpb.Lease", "LeaseGrant", One),
        ("etcdserverpb.Lease", "LeaseKeepAlive", Both),
        ("etcdserverpb.Lease", "LeaseLeases", One),
        ("etcdserverpb.Lease", "LeaseRevoke", One),
        ("etcdserverpb.Lease", "LeaseTimeToLive", One),
        ("etcdserverpb.Maintenance", "Alarm", One),
        ("etcdserverpb.Maintenance", "Defragment", One),
        ("etcdserverpb.Maintenance", "Downgrade", One),
        ("etcdserverpb.Maintenance", "Hash", One),
        ("etcdserverpb.Maintenance", "HashKV", One),
        ("etcdserverpb.Maintenance", "MoveLeader", One),
        ("etcdserverpb.Maintenance", "Snapshot", Down),
        ("etcdserverpb.Maintenance", "Status", One),
        ("etcdserverpb.Watch", "Watch", Both),
    ]
};

/// How many messages a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    /// Many to the client.
    Down,
    /// Many both ways.
    Both,
}

/// Codes of outcomes.
const CODES: usize = 17;

/// How long calls take that are measured.
const TIMES: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Calls by method and outcome.
#[derive(Debug)]
pub(in super::super) struct Calls(Box<[Method]>);

/// Messages of the calls of a method that are streams.
#[derive(Debug, Default)]
pub(in super::super) struct Flow {
    pub(in super::super) received: Counter,
    pub(in super::super) sent: Counter,
}

#[derive(Debug, Default)]
struct Method {
    started: Counter,
    /// Of streams. What a unary call received and sent follows from that it began, and ended well.
    flow: Option<Arc<Flow>>,
    handled: [Counter; CODES],
    times: Option<Histogram>,
}

impl Calls {
    pub(super) fn new(extensive: bool) -> Self {
        let times = || extensive.then(|| Histogram::new(TIMES));
        let flow = |kind: &Kind| (*kind != Kind::One).then(Arc::default);
        let method = |kind| Method { times: times(), flow: flow(kind), ..Method::default() };
        Self(METHODS.iter().map(|(_, _, kind)| method(kind)).collect())
    }

    /// Counts a call that begins, by its path.
    pub(in super::super) fn begin(&self, path: &str) -> Running<'_> {
        let method = number(path).and_then(|number| self.0.get(number));
        let begun = method.filter(|method| method.times.is_some()).map(|_| Instant::now());
        if let Some(method) = method {
            method.started.add(1);
        }
        Running { method, begun }
    }

    /// Where the messages of a stream are counted, by the path of its method; `None` for one that is not a stream of etcd's.
    pub(in super::super) fn flow(&self, path: &str) -> Option<Arc<Flow>> {
        self.0.get(number(path)?)?.flow.clone()
    }

    /// Tells what there is to tell.
    pub(super) fn put(&self, page: &mut Page) {
        let all = || self.0.iter().zip(&METHODS);
        let ok = |method: &Method| method.handled.first().map_or(0, Counter::get);
        let received =
            |method: &Method| method.flow.as_ref().map_or(method.started.get(), |flow| flow.received.get());
        let sent = |method: &Method| method.flow.as_ref().map_or(ok(method), |flow| flow.sent.get());
        page.family("grpc_server_started_total", "counter");
        all().for_each(|(method, labels)| page.sample("", &labelled(labels, None), method.started.get()));
        page.family("grpc_server_msg_received_total", "counter");
        all().for_each(|(method, labels)| page.sample("", &labelled(labels, None), received(method)));
        page.family("grpc_server_msg_sent_total", "counter");
        all().for_each(|(method, labels)| page.sample("", &labelled(labels, None), sent(method)));
        page.family("grpc_server_handled_total", "counter");
        for (method, labels) in all() {
            for (count, code) in method.handled.iter().zip(0..).filter(|(count, _)| count.get() > 0) {
                page.sample("", &labelled(labels, Some(Code::from_i32(code))), count.get());
            }
        }
        if self.0.iter().any(|method| method.times.is_some()) {
            page.family("grpc_server_handling_seconds", "histogram");
            for (method, labels) in all() {
                method.times.iter().for_each(|times| page.histogram(&labelled(labels, None), times));
            }
        }
    }
}

fn labelled((service, name, kind): &(&str, &str, Kind), code: Option<Code>) -> String {
    let kind = match kind {
        Kind::One => "unary",
        Kind::Down => "server_stream",
        Kind::Both => "bidi_stream",
    };
    let code = code.map(|code| format!("grpc_code=\"{}\",", go_name(code))).unwrap_or_default();
    format!("{code}grpc_method=\"{name}\",grpc_service=\"{service}\",grpc_type=\"{kind}\"")
}

/// What Go calls a code.
fn go_name(code: Code) -> String {
    match code {
        Code::Ok => "OK".into(),
        Code::Cancelled => "Canceled".into(),
        other => format!("{other:?}"),
    }
}

/// The number of a method by its path, as `/etcdserverpb.KV/Txn`.
fn number(path: &str) -> Option<usize> {
    let asked = path.strip_prefix('/')?.split_once('/')?;
    METHODS.binary_search_by(|(service, name, _)| (*service, *name).cmp(&asked)).ok()
}

/// The code of an outcome.
pub(in super::super) fn code_of<T>(outcome: &Result<T, Status>) -> Code {
    outcome.as_ref().map_or_else(Status::code, |_| Code::Ok)
}

/// A call that is under way. One that is dropped was given up by its client.
#[derive(Debug)]
pub(in super::super) struct Running<'a> {
    method: Option<&'a Method>,
    begun: Option<Instant>,
}

impl Running<'_> {
    pub(in super::super) fn end(mut self, code: Code) {
        self.note(code);
    }

    fn note(&mut self, code: Code) {
        let Some(method) = self.method.take() else { return };
        if let Some(count) = method.handled.get(code as usize) {
            count.add(1);
        }
        if let (Some(times), Some(begun)) = (&method.times, self.begun) {
            times.note(begun.elapsed());
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.note(Code::Cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_path() {
        for (at, (service, name, _)) in METHODS.iter().enumerate() {
            assert_eq!(number(&format!("/{service}/{name}")), Some(at));
        }
        for path in ["", "/", "/etcdserverpb.KV/Tx", "etcdserverpb.KV/Txn", "/etcdserverpb.KV/Txn/"] {
            assert_eq!(number(path), None, "{path}");
        }
    }

    #[test]
    fn calls_are_counted_once_with_how_they_ended() {
        let calls = Calls::new(true);
        calls.begin("/etcdserverpb.KV/Put").end(Code::Ok);
        drop(calls.begin("/etcdserverpb.KV/Put"));
        calls.begin("/etcdserverpb.KV/None").end(Code::Ok);
        let mut page = Page::default();
        calls.put(&mut page);
        let text = page.finish();
        let labels = "grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"";
        for line in [
            format!("grpc_server_started_total{{{labels}}} 2"),
            format!("grpc_server_msg_sent_total{{{labels}}} 1"),
            format!("grpc_server_handled_total{{grpc_code=\"OK\",{labels}}} 1"),
            format!("grpc_server_handled_total{{grpc_code=\"Canceled\",{labels}}} 1"),
            format!("grpc_server_handling_seconds_count{{{labels}}} 2"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
