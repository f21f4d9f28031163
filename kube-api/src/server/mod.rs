//! The service: from a request to an answer.

mod answer;
mod builder;
mod call;
mod document;
mod health;
mod node;
mod resource;
mod review;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::Service;

pub use builder::Builder;

use crate::auth::{Authenticator, Authorizer, InProcess, User};
use crate::body::Body;
use crate::metrics::Metrics;
use crate::node::NodeConnector;
use crate::openapi::OpenApi;
use crate::registry::Registry;

/// A Kubernetes API server: a [`tower::Service`] over HTTP requests. Cheap to clone; what it runs in the background ends
/// with the last clone.
///
/// Who asks is found out from the request: a [`crate::serve::ClientCertificate`] among its extensions or a bearer token.
/// [`ApiServer::as_user`] is for callers in the same process.
#[derive(Debug, Clone)]
pub struct ApiServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    authenticator: Authenticator,
    authorizer: Arc<dyn Authorizer>,
    nodes: Option<Arc<dyn NodeConnector>>,
    metrics: Metrics,
    openapi: OpenApi,
}

/// The answer to come.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl ApiServer {
    /// Starts building a server over a store.
    pub fn builder(store: Arc<dyn kube_store::Store>) -> Builder {
        Builder::new(store)
    }

    /// The service for a caller in this process who is this user.
    pub fn as_user(&self, user: User) -> AsUser {
        AsUser { server: self.clone(), user }
    }
}

impl<B> Service<Request<B>> for ApiServer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let request = request.map(|body| body.map_err(|error| error.to_string()).boxed_unsync());
        Arc::clone(&self.0).answered(request)
    }
}

/// An [`ApiServer`] used by one user of the same process.
#[derive(Debug, Clone)]
pub struct AsUser {
    server: ApiServer,
    user: User,
}

impl<B> Service<Request<B>> for AsUser
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture {
        request.extensions_mut().insert(InProcess(self.user.clone()));
        self.server.call(request)
    }
}
