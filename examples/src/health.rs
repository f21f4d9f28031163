//! `/healthz`, `/livez`, `/readyz` and `/metrics` of a component, over TLS.

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

/// What a component says about itself.
#[derive(Clone)]
pub struct Health {
    /// Whether it does its work.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What it counts.
    pub metrics: Arc<Registry>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
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
            let response = self.answer(request.method(), request.uri().path());
            async move { Ok::<_, Infallible>(response) }
        });
        serve(listener, tls, service, ServeConfig::default(), shutdown).await;
        Ok(())
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let (status, text) = match path {
            _ if !matches!(*method, Method::GET | Method::HEAD) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method not allowed".to_owned())
            }
            "/healthz" | "/livez" => (StatusCode::OK, "ok".to_owned()),
            "/readyz" if (self.ready)() => (StatusCode::OK, "ok".to_owned()),
            "/readyz" => {
                (StatusCode::INTERNAL_SERVER_ERROR, "[-]informer-sync failed: not synced".to_owned())
            }
            "/metrics" => self.encode(),
            _ => (StatusCode::NOT_FOUND, "404 page not found".to_owned()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        if path == "/metrics" {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        }
        response
    }

    fn encode(&self) -> (StatusCode, String) {
        let mut text = String::new();
        match encode(&mut text, &self.metrics) {
            Ok(()) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
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
        let health =
            Health { ready: Arc::new(move || seen.load(Ordering::Relaxed)), metrics: Arc::new(registry) };
        let ask = async |method: Method, path: &str| {
            let response = health.answer(&method, path);
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            (status, String::from_utf8_lossy(&body).into_owned())
        };
        assert_eq!(ask(Method::GET, "/healthz").await, (200, "ok".to_owned()));
        assert_eq!(ask(Method::GET, "/readyz").await.0, 500);
        ready.store(true, Ordering::Relaxed);
        assert_eq!(ask(Method::GET, "/readyz").await, (200, "ok".to_owned()));
        assert!(ask(Method::GET, "/metrics").await.1.contains("things_total 1"));
        assert_eq!(ask(Method::GET, "/else").await.0, 404);
        assert_eq!(ask(Method::POST, "/healthz").await.0, 405);
    }
}
