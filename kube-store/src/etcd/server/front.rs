//! What the port serves beside gRPC: how the server is, for probes and for Prometheus.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::Full;
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::service::Routes;

use super::etcd_server::{EtcdServer, VERSION};
use crate::RangeRequest;
use crate::etcd::r#gen::etcdserverpb::AlarmType;

/// Different methods that are counted; there are fewer, but a client may ask for any.
const METHODS: usize = 128;

/// Calls by method, as `/etcdserverpb.KV/Range`.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<BTreeMap<String, u64>>);

impl Calls {
    pub(super) fn count(&self, method: &str) {
        let mut calls = self.0.lock();
        if let Some(count) = calls.get_mut(method) {
            *count += 1;
        } else if calls.len() < METHODS && method.starts_with("/etcdserverpb.") {
            calls.insert(method.to_owned(), 1);
        }
    }
}

/// Answers plain HTTP requests itself and hands on all others.
#[derive(Debug, Clone)]
pub(super) struct Front {
    server: EtcdServer,
    routes: Routes,
}

type Response = http::Response<Body>;

impl Front {
    pub(super) fn new(server: EtcdServer) -> Self {
        Self { routes: server.routes().prepare(), server }
    }
}

impl Service<http::Request<Body>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.method() == http::Method::GET {
            let (server, path) = (self.server.clone(), request.uri().path().to_owned());
            let verbose = request.uri().query().is_some_and(|query| query.split('&').any(|q| q == "verbose"));
            return async move { Ok(page(&server, &path, verbose).await) }.boxed();
        }
        self.server.calls.count(request.uri().path());
        self.routes.call(request).boxed()
    }
}

async fn page(server: &EtcdServer, path: &str, verbose: bool) -> Response {
    match path {
        "/health" => health(server).await,
        "/livez" => probe(&[("serializable_read", reads(server).await)], verbose),
        "/readyz" => {
            let checks = [
                ("data_corruption", alarm(server, AlarmType::Corrupt).await),
                ("serializable_read", reads(server).await),
                ("linearizable_read", agrees(server).await),
            ];
            probe(&checks, verbose)
        }
        "/version" => json(200, format!("{{\"etcdserver\":\"{VERSION}\",\"etcdcluster\":\"3.5.0\"}}")),
        "/metrics" => respond(200, "text/plain; version=0.0.4; charset=utf-8", metrics(server).await),
        _ => respond(404, PLAIN, "404 page not found\n".into()),
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn respond(status: u16, kind: &'static str, text: String) -> Response {
    let mut response = http::Response::new(Body::new(Full::new(Bytes::from(text))));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn json(status: u16, text: String) -> Response {
    respond(status, "application/json", text)
}

/// Why the store does not answer reads or has stopped writes.
async fn reads(server: &EtcdServer) -> Result<(), String> {
    match server.store.status().await {
        Ok(status) => status.failure.map_or(Ok(()), |failure| Err(failure.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

/// Why the store does not answer reads of what is newest, for which a group has to agree.
async fn agrees(server: &EtcdServer) -> Result<(), String> {
    reads(server).await?;
    let any = RangeRequest::key("health").count_only();
    server.store.range(any).await.map(drop).map_err(|error| error.to_string())
}

async fn alarm(server: &EtcdServer, kind: AlarmType) -> Result<(), String> {
    let raised = server.alarms.list(kind).await.map_err(|status| status.message().to_owned())?;
    match raised.first() {
        Some(alarm) => Err(format!("ALARM {}", alarm.alarm().as_str_name())),
        None => Ok(()),
    }
}

async fn health(server: &EtcdServer) -> Response {
    let mut found = alarm(server, AlarmType::None).await;
    if found.is_ok() {
        found = agrees(server).await.map_err(|reason| format!("RANGE ERROR:{}", reason.escape_default()));
    }
    match found {
        Ok(()) => json(200, "{\"health\":\"true\",\"reason\":\"\"}".into()),
        Err(reason) => json(503, format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}")),
    }
}

fn probe(checks: &[(&str, Result<(), String>)], verbose: bool) -> Response {
    let ok = checks.iter().all(|(_, check)| check.is_ok());
    let mut text = String::new();
    for (name, check) in checks.iter().filter(|_| verbose || !ok) {
        // Writing to a string does not fail.
        let _ = match check {
            Ok(()) => writeln!(text, "[+]{name} ok"),
            Err(reason) => writeln!(text, "[-]{name} failed: {reason}"),
        };
    }
    text.push_str(if ok { "ok\n" } else { "not ready\n" });
    respond(if ok { 200 } else { 503 }, PLAIN, text)
}

/// The metrics that etcd has by the same names, as far as they mean something here.
async fn metrics(server: &EtcdServer) -> String {
    let status = server.store.status().await.unwrap_or_default();
    let revision = u64::try_from(status.revision).unwrap_or(0);
    let compacted = u64::try_from(status.compacted).unwrap_or(0);
    let view = server.group.view(status.revision);
    let has_leader = u64::from(status.failure.is_none() && view.leader != 0);
    let leads = u64::from(has_leader == 1 && view.leader == server.group.stamp().member);
    let mut text = String::new();
    for (kind, name, value) in [
        ("gauge", "etcd_server_has_leader", has_leader),
        ("gauge", "etcd_server_is_leader", leads),
        ("gauge", "etcd_server_is_learner", u64::from(view.is_learner)),
        ("counter", "etcd_server_leader_changes_seen_total", view.term),
        ("gauge", "etcd_server_proposals_committed_total", view.committed),
        ("gauge", "etcd_server_proposals_applied_total", view.applied),
        ("gauge", "etcd_server_proposals_pending", 0),
        ("gauge", "etcd_server_quota_backend_bytes", server.config.quota_bytes),
        ("gauge", "etcd_mvcc_db_total_size_in_bytes", status.bytes_on_disk.max(status.bytes)),
        ("gauge", "etcd_mvcc_db_total_size_in_use_in_bytes", status.bytes),
        ("gauge", "etcd_debugging_mvcc_keys_total", status.keys),
        ("gauge", "etcd_debugging_mvcc_watcher_total", status.watchers),
        ("gauge", "etcd_debugging_mvcc_current_revision", revision),
        ("gauge", "etcd_debugging_mvcc_compact_revision", compacted),
    ] {
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    let _ = writeln!(
        text,
        "# TYPE etcd_server_version gauge\netcd_server_version{{server_version=\"{VERSION}\"}} 1"
    );
    text.push_str("# TYPE grpc_server_started_total counter\n");
    for (method, count) in &*server.calls.0.lock() {
        let (service, name) = method.trim_start_matches('/').split_once('/').unwrap_or((method, ""));
        let kind = if matches!(name, "Watch" | "LeaseKeepAlive") { "bidi_stream" } else { "unary" };
        let _ = writeln!(
            text,
            "grpc_server_started_total{{grpc_method=\"{name}\",grpc_service=\"{service}\",grpc_type=\"{kind}\"}} {count}"
        );
    }
    text
}
