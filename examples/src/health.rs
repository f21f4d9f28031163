//! `/healthz`, `/livez`, `/readyz`, `/metrics` and `/configz` of a component, over TLS.

mod gate;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use kube_api::pki::{Identity, Pki};
use kube_api::serve::{ServeConfig, serve, tls_config};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Failure;

pub use gate::Gate;

/// What a component says about itself.
#[derive(Clone)]
pub struct Health {
    /// What must hold for it to be ready.
    pub ready: Vec<Check>,
    /// What it counts.
    pub metrics: Arc<Registry>,
    /// What `/configz` shows, JSON; there is no such path without it.
    pub config: Option<Arc<str>>,
    /// Who may read anything but whether it is well; everybody without one.
    pub gate: Option<Gate>,
}

/// Something about a component that can be so or not.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    holds: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Check {
    /// A check called `name`.
    pub fn new(name: &'static str, holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { name, holds: Arc::new(holds) }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("ready", &self.ready).finish_non_exhaustive()
    }
}

/// Where to answer, and as whom.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address to listen on; none on port 0.
    pub address: SocketAddr,
    /// Files with the certificate and its key, PEM; one made for this run signs for itself if there are none.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A status, the type of what is said, and that.
type Answer = (StatusCode, &'static str, String);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Health {
    /// Answers until `shutdown`.
    ///
    /// # Errors
    /// If the address is taken or the certificate unusable.
    pub async fn serve(self, endpoint: Endpoint, shutdown: CancellationToken) -> Result<(), Failure> {
        if endpoint.address.port() == 0 {
            return Ok(());
        }
        let listener = TcpListener::bind(endpoint.address)
            .await
            .map_err(|error| format!("listening on {}: {error}", endpoint.address))?;
        let (identity, ca) = endpoint.identity()?;
        let tls = tls_config(&identity, &ca)?;
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let health = self.clone();
            async move { Ok::<_, Infallible>(health.answer(&request).await) }
        });
        serve(listener, tls, service, ServeConfig::default(), shutdown).await;
        Ok(())
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, kind, text) = self.say(request).await;
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in [
            (http::header::CONTENT_TYPE, kind),
            (http::header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
            (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        response
    }

    async fn say<B>(&self, request: &Request<B>) -> Answer {
        let path = request.uri().path();
        let verbose = request.uri().query().is_some_and(|query| query.split('&').any(is_verbose));
        match path {
            _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                return (StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed".to_owned());
            }
            "/healthz" | "/livez" => return report(&path[1..], &[Check::new("ping", || true)], verbose),
            "/readyz" => return report("readyz", &self.ready, verbose),
            _ => {}
        }
        // Also what there is not is told to nobody else, as upstream.
        if let Some(gate) = &self.gate
            && let Err((status, text)) = gate.judge(request.headers(), path).await
        {
            return (status, TEXT, text);
        }
        match (path, &self.config) {
            ("/metrics", _) => self.encode(),
            ("/configz", Some(config)) => (StatusCode::OK, JSON, config.to_string()),
            _ => (StatusCode::NOT_FOUND, TEXT, "404 page not found\n".to_owned()),
        }
    }

    fn encode(&self) -> Answer {
        let mut text = String::new();
        match encode(&mut text, &self.metrics) {
            Ok(()) => (StatusCode::OK, OPEN_METRICS, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
        }
    }
}

fn is_verbose(word: &str) -> bool {
    word == "verbose" || word.starts_with("verbose=")
}

/// As upstream says it: `ok`, or a line for each check if one does not hold or all are asked for.
fn report(name: &str, checks: &[Check], verbose: bool) -> Answer {
    let mut lines = String::new();
    let mut failed = false;
    for check in checks {
        let holds = (check.holds)();
        failed |= !holds;
        lines += &match holds {
            true => format!("[+]{} ok\n", check.name),
            false => format!("[-]{} failed: reason withheld\n", check.name),
        };
    }
    match (failed, verbose) {
        (true, _) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{lines}{name} check failed\n")),
        (false, true) => (StatusCode::OK, TEXT, format!("{lines}{name} check passed\n")),
        (false, false) => (StatusCode::OK, TEXT, "ok".to_owned()),
    }
}

impl Endpoint {
    /// The serving identity and the authority of client certificates, of which none is asked for.
    fn identity(&self) -> Result<(Identity, String), Failure> {
        if let Some((cert, key)) = &self.identity {
            let read = |path: &PathBuf| {
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
            };
            let identity = Identity { cert_pem: read(cert)?, key_pem: read(key)? };
            let ca = identity.cert_pem.clone();
            return Ok((identity, ca));
        }
        let dir = tempfile::tempdir()?;
        let pki = Pki::open(dir.path(), jiff::Timestamp::now())?;
        let ips = [IpAddr::from([127, 0, 0, 1]), self.address.ip()];
        let identity = pki.server("serving", "localhost", &["localhost"], &ips)?;
        Ok((identity, pki.ca_pem().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[tokio::test]
    async fn each_path_has_its_answer() {
        let (ready, counter) = (Arc::new(AtomicBool::new(false)), Counter::<u64>::default());
        let mut registry = Registry::default();
        registry.register("things", "Things", counter.clone());
        counter.inc();
        let seen = Arc::clone(&ready);
        let synced = Check::new("sync", move || seen.load(Ordering::Relaxed));
        let config = Some("{\"componentconfig\":{}}".into());
        let health = Health { ready: vec![synced], metrics: Arc::new(registry), config, gate: None };
        let ask = async |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).expect("a request");
            let response = health.answer(&request).await;
            let status = response.status().as_u16();
            let kind = response.headers()[http::header::CONTENT_TYPE].to_str().expect("text").to_owned();
            assert_eq!(kind == JSON, path == "/configz", "{path}: {kind}");
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            (status, String::from_utf8_lossy(&body).into_owned())
        };
        let ok = (200, "ok".to_owned());
        assert_eq!(ask(Method::GET, "/healthz").await, ok);
        assert_eq!(
            ask(Method::GET, "/livez?verbose").await,
            (200, "[+]ping ok\nlivez check passed\n".to_owned())
        );
        let failed = "[-]sync failed: reason withheld\nreadyz check failed\n".to_owned();
        assert_eq!(ask(Method::GET, "/readyz").await, (500, failed));
        ready.store(true, Ordering::Relaxed);
        assert_eq!(ask(Method::GET, "/readyz").await, ok);
        assert!(ask(Method::GET, "/metrics").await.1.contains("things_total 1"));
        assert_eq!(ask(Method::GET, "/configz").await, (200, "{\"componentconfig\":{}}".to_owned()));
        assert_eq!(ask(Method::GET, "/statusz").await, (404, "404 page not found\n".to_owned()));
        assert_eq!(ask(Method::POST, "/healthz").await.0, 405);
    }
}
