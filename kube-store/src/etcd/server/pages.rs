//! Pages: how the server is, for probes and for Prometheus.

use std::fmt::Write;

use bytes::Bytes;
use http_body_util::Full;
use tonic::body::Body;
use tonic::codegen::http;

use super::etcd_server::{EtcdServer, VERSION};
use crate::RangeRequest;
use crate::etcd::r#gen::etcdserverpb::AlarmType;

pub(super) type Response = http::Response<Body>;

const PLAIN: &str = "text/plain; charset=utf-8";

/// What can be asked of a probe, each with its names in `/livez` and `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

const LIVE: [Check; 1] = [Check::SerializableRead];
const READY: [Check; 4] =
    [Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

/// What a path has behind its question mark.
#[derive(Debug, Default)]
struct Query {
    /// Checks, or alarms, that do not count.
    exclude: Vec<String>,
    serializable: bool,
    verbose: bool,
}

impl Query {
    fn of(uri: &http::Uri) -> Self {
        let mut query = Self::default();
        for part in uri.query().unwrap_or_default().split('&') {
            match part.split_once('=').unwrap_or((part, "")) {
                ("exclude", name) => query.exclude.push(name.to_owned()),
                ("serializable", "true") => query.serializable = true,
                ("verbose", _) => query.verbose = true,
                _ => {}
            }
        }
        query
    }

    fn counts(&self, name: &str) -> bool {
        !self.exclude.iter().any(|excluded| excluded == name)
    }
}

/// The page of a path.
pub(super) async fn page(server: &EtcdServer, uri: &http::Uri) -> Response {
    let query = Query::of(uri);
    match uri.path() {
        "/health" => health(server, &query).await,
        "/version" => json(200, format!("{{\"etcdserver\":\"{VERSION}\",\"etcdcluster\":\"3.5.0\"}}")),
        "/metrics" => respond(200, "text/plain; version=0.0.4; charset=utf-8", server.metrics_page().await),
        path => match checks(path) {
            Some(checks) => probe(server, &checks, &query).await,
            None => not_found(),
        },
    }
}

/// The checks of a probe, or the one that is behind it in the path.
fn checks(path: &str) -> Option<Vec<Check>> {
    let (probe, one) =
        path.strip_prefix('/')?.split_once('/').map_or((path.get(1..)?, None), |(p, o)| (p, Some(o)));
    let all = match probe {
        "livez" => &LIVE[..],
        "readyz" => &READY,
        _ => return None,
    };
    let chosen: Vec<_> =
        all.iter().copied().filter(|check| one.is_none_or(|one| one == check.name())).collect();
    (!chosen.is_empty()).then_some(chosen)
}

pub(super) fn not_found() -> Response {
    plain(404, "404 page not found\n")
}

pub(super) fn plain(status: u16, text: &str) -> Response {
    respond(status, PLAIN, text.into())
}

fn respond(status: u16, kind: &'static str, text: String) -> Response {
    let mut response = http::Response::new(Body::new(Full::new(Bytes::from(text))));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

pub(super) fn json(status: u16, text: String) -> Response {
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

/// An alarm that is raised and counts.
async fn alarm(server: &EtcdServer, kind: AlarmType, query: &Query) -> Result<(), String> {
    let raised = server.alarms.list(kind).await.map_err(|status| status.message().to_owned())?;
    let mut names = raised.iter().map(|alarm| alarm.alarm().as_str_name());
    match names.find(|name| query.counts(name)) {
        Some(name) => Err(format!("ALARM {name}")),
        None => Ok(()),
    }
}

/// What kubelet asks of kubeadm's static pod: `/health?exclude=NOSPACE&serializable=true`.
async fn health(server: &EtcdServer, query: &Query) -> Response {
    let mut found = alarm(server, AlarmType::None, query).await;
    if found.is_ok() {
        let read = if query.serializable { reads(server).await } else { agrees(server).await };
        found = read.map_err(|reason| format!("RANGE ERROR:{}", reason.escape_default()));
    }
    let count = if found.is_ok() { &server.metrics.healthy } else { &server.metrics.unhealthy };
    count.add(1);
    match found {
        Ok(()) => json(200, "{\"health\":\"true\",\"reason\":\"\"}".into()),
        Err(reason) => json(503, format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}")),
    }
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    async fn run(self, server: &EtcdServer) -> Result<(), String> {
        match self {
            Self::DataCorruption => alarm(server, AlarmType::Corrupt, &Query::default()).await,
            Self::SerializableRead => reads(server).await,
            Self::LinearizableRead => agrees(server).await,
            Self::NonLearner if server.group.view(0).is_learner => Err("learner member is not ready".into()),
            Self::NonLearner => Ok(()),
        }
    }
}

async fn probe(server: &EtcdServer, checks: &[Check], query: &Query) -> Response {
    let (mut ok, mut text) = (true, String::new());
    for check in checks.iter().filter(|check| query.counts(check.name())) {
        // Writing to a string does not fail.
        let _ = match check.run(server).await {
            Ok(()) => writeln!(text, "[+]{} ok", check.name()),
            Err(reason) => {
                ok = false;
                writeln!(text, "[-]{} failed: {reason}", check.name())
            }
        };
    }
    if ok && !query.verbose {
        text.clear();
    }
    text.push_str(if ok { "ok\n" } else { "not ready\n" });
    respond(if ok { 200 } else { 503 }, PLAIN, text)
}
