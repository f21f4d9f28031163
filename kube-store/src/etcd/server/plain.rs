//! Connections that do not begin with HTTP/2: of probes, of Prometheus, and of who speaks JSON.

use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{Service, http};

use super::front::Front;
use super::listen::Connection;

/// Serves a connection until the client ends it, or until `shutdown` and the end of the call that runs then.
pub(super) async fn serve(connection: Connection, front: Front, shutdown: CancellationToken) {
    let builder = Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(Plain(front.of_client(connection.certified())));
    let mut serving = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Takes the requests as they arrive.
#[derive(Clone)]
struct Plain(Front);

impl<B> Service<http::Request<B>> for Plain
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = <Front as Service<http::Request<Body>>>::Response;
    type Error = <Front as Service<http::Request<Body>>>::Error;
    type Future = <Front as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.0.call(request.map(Body::new))
    }
}
