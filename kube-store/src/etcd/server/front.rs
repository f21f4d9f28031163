//! What the port serves beside gRPC: how the server is, for probes and for Prometheus.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::service::Routes;

use super::certified::Certified;
use super::etcd_server::{EtcdServer, VERSION, no_leader, not_for_learners};
use super::metrics::Metrics;
use crate::RangeRequest;
use crate::etcd::r#gen::etcdserverpb::AlarmType;

/// Answers plain HTTP requests itself and hands on all others.
#[derive(Debug, Clone)]
pub(super) struct Front {
    server: EtcdServer,
    /// `None` where only pages are served.
    routes: Option<Routes>,
    certified: Certified,
}

type Response = http::Response<Body>;

impl Front {
    pub(super) fn new(server: EtcdServer) -> Self {
        Self { routes: Some(server.routes().prepare()), server, certified: Certified::default() }
    }

    /// One that serves no more than pages.
    pub(super) fn of_pages(server: EtcdServer) -> Self {
        Self { routes: None, server, certified: Certified::default() }
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.server.metrics
    }

    /// One for a connection whose client has shown this.
    pub(super) fn of_client(&self, certified: &Certified) -> Self {
        Self { certified: certified.clone(), ..self.clone() }
    }
}

impl Service<http::Request<Body>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match &mut self.routes {
            Some(routes) => Service::<http::Request<Body>>::poll_ready(routes, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if request.method() == http::Method::GET {
            let (server, path) = (self.server.clone(), request.uri().path().to_owned());
            let verbose = request.uri().query().is_some_and(|query| query.split('&').any(|q| q == "verbose"));
            return async move { Ok(page(&server, &path, verbose).await) }.boxed();
        }
        if let Err(status) = admit(&self.server, &request) {
            return async move { Ok(status.into_http()) }.boxed();
        }
        let Some(routes) = &mut self.routes else {
            return async { Ok(respond(404, PLAIN, "404 page not found\n".into())) }.boxed();
        };
        request.extensions_mut().insert(self.certified.clone());
        routes.call(request).boxed()
    }
}

/// What a learner answers too; of keys only what need not be up to date, which is looked at with the request.
const OF_LEARNERS: [&str; 5] = [
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Snapshot",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

/// Refuses who would rather hear that there is no leader than wait for one, and at a learner nearly everything.
pub(super) fn admit<B>(server: &EtcdServer, request: &http::Request<B>) -> Result<(), Status> {
    let wants = request.headers().get("hasleader").is_some_and(|value| value == "true");
    if wants && !server.group.has_leader() {
        return Err(no_leader());
    }
    if server.group.is_learner() && !OF_LEARNERS.contains(&request.uri().path()) {
        return Err(not_for_learners());
    }
    Ok(())
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
        "/metrics" => respond(200, "text/plain; version=0.0.4; charset=utf-8", server.metrics_page().await),
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
    let count = if found.is_ok() { &server.metrics.healthy } else { &server.metrics.unhealthy };
    count.add(1);
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
