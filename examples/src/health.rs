//! `/healthz`, `/livez`, `/readyz` and `/metrics` of a component, over TLS.

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
    /// Who may read what it counts; everybody without one.
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

type Answer = (StatusCode, String);

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
        let (path, metrics) = (request.uri().path(), request.uri().path() == "/metrics");
        let verbose = request.uri().query().is_some_and(|query| query.split('&').any(is_verbose));
        let (status, text) = match path {
            _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method not allowed".to_owned())
            }
            "/healthz" | "/livez" => report(&path[1..], &[Check::new("ping", || true)], verbose),
            "/readyz" => report("readyz", &self.ready, verbose),
            "/metrics" => match &self.gate {
                Some(gate) => match gate.judge(request.headers()).await {
                    Ok(()) => self.encode(),
                    Err(refusal) => refusal,
                },
                None => self.encode(),
            },
            _ => (StatusCode::NOT_FOUND, "404 page not found".to_owned()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let kind = match metrics && status == StatusCode::OK {
            true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            false => "text/plain; charset=utf-8",
        };
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        headers.insert(
            http::header::CACHE_CONTROL,
            http::HeaderValue::from_static("no-cache, no-store, must-revalidate"),
        );
        response
    }

    fn encode(&self) -> Answer {
        let mut text = String::new();
        match encode(&mut text, &self.metrics) {
            Ok(()) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
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
        (true, _) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{name} check failed\n")),
        (false, true) => (StatusCode::OK, format!("{lines}{name} check passed\n")),
        (false, false) => (StatusCode::OK, "ok".to_owned()),
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
        let health = Health { ready: vec![synced], metrics: Arc::new(registry), gate: None };
        let ask = async |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).expect("a request");
            let response = health.answer(&request).await;
            let status = response.status().as_u16();
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
        assert_eq!(ask(Method::GET, "/else").await.0, 404);
        assert_eq!(ask(Method::POST, "/healthz").await.0, 405);
    }
}
