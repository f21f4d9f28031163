//! The glue between a listener and a service: TLS, HTTP/1.1 and HTTP/2, upgrades, limits, graceful shutdown.
//!
//! The caller owns the listener and decides when to stop. A client that presents a certificate of the configured authority reaches the
//! service with a [`ClientCertificate`] among the request's extensions; one that presents a certificate of another authority is
//! refused by TLS; one without reaches the service without.

mod certificate;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

pub use certificate::ClientCertificate;
pub use tls::{TlsError, tls_config};

/// Limits that keep one client from taking everything.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeConfig {
    /// Connections served at once; more wait in the kernel's queue. Default: 10,000.
    pub max_connections: usize,
    /// The longest a TLS handshake may take. Default: 10 seconds.
    pub handshake_timeout: Duration,
    /// The longest a client may take to send a request's head (HTTP/1.1). Default: 30 seconds.
    pub header_timeout: Duration,
    /// Requests in flight on one HTTP/2 connection. Default: 250, as upstream.
    pub max_concurrent_streams: u32,
    /// How long connections may finish their requests after the shutdown. Default: 2 seconds; watches are cut then.
    pub drain: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            max_concurrent_streams: 250,
            drain: Duration::from_secs(2),
        }
    }
}

/// Serves `service` on `listener` over TLS until `shutdown`, then lets requests in flight finish for a while.
pub fn serve<S, B>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: S,
    config: ServeConfig,
    shutdown: CancellationToken,
) -> BoxFuture<'static, ()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Failure>,
{
    let service =
        service.map_response(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()));
    boxed(listener, tls, BoxCloneSyncService::new(service), config, shutdown)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Any service, so that HTTP and TLS are compiled here, once, and not for each service where it is used.
type Served = BoxCloneSyncService<Request<Incoming>, Response<UnsyncBoxBody<Bytes, Failure>>, Infallible>;

fn boxed(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: Served,
    config: ServeConfig,
    shutdown: CancellationToken,
) -> BoxFuture<'static, ()> {
    Box::pin(connections(listener, tls, service, config, shutdown))
}

async fn connections(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: Served,
    config: ServeConfig,
    shutdown: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(config.max_connections));
    let server = Arc::new(Server { acceptor: TlsAcceptor::from(tls), http: http(&config), config });
    while let Some((stream, peer, permit)) = accept(&listener, &connections, &shutdown).await {
        let (server, service, watcher) = (server.clone(), service.clone(), graceful.watcher());
        let cut = shutdown.clone();
        tokio::spawn(async move {
            let _permit = permit;
            server.connection(stream, peer, service, watcher, cut).await;
        });
    }
    let _ = tokio::time::timeout(server.config.drain, graceful.shutdown()).await;
}

/// The next connection, with its place among the allowed ones; `None` at the shutdown.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    loop {
        let next = async {
            let permit = connections.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let (accepted, permit) = tokio::select! {
            next = next => next?,
            () = shutdown.cancelled() => return None,
        };
        match accepted {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) => {
                // Out of file descriptors, or the client is gone already: neither is a reason to stop, the first one to pause.
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn http(config: &ServeConfig) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(config.max_concurrent_streams);
    http
}

struct Server {
    acceptor: TlsAcceptor,
    http: auto::Builder<TokioExecutor>,
    config: ServeConfig,
}

impl Server {
    async fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        service: Served,
        watcher: hyper_util::server::graceful::Watcher,
        cut: CancellationToken,
    ) {
        // Small answers must not wait for an acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(self.config.handshake_timeout, self.acceptor.accept(stream));
        let stream = match handshake.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake"),
            Err(_) => return tracing::debug!(%peer, "TLS handshake timed out"),
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.and_then(|der| ClientCertificate::parse(der));
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            if let Some(certificate) = certificate.clone() {
                request.extensions_mut().insert(certificate);
            }
            let mut service = service.clone();
            async move {
                std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            }
        });
        let connection = self.http.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let drained = async {
            cut.cancelled().await;
            tokio::time::sleep(self.config.drain).await;
        };
        tokio::select! {
            done = watcher.watch(connection) => if let Err(error) = done { tracing::debug!(%peer, %error, "connection") },
            () = drained => {}
        }
    }
}

#[cfg(test)]
mod tests;
