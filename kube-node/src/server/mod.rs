//! The agent's HTTP interface, which the API server uses for logs and exec: a tower service over a [`Runtime`].
//!
//! | path | what it does |
//! |---|---|
//! | `/healthz` | says `ok`; needs no rights |
//! | `/containerLogs/NAMESPACE/POD/CONTAINER` | streams a log ([`crate::log::Query`]) |
//! | `/exec/NAMESPACE/POD/CONTAINER` | runs a command over a WebSocket |
//! | `/attach/NAMESPACE/POD/CONTAINER` | joins the main process's streams over a WebSocket |
//!
//! Sessions speak `v5.channel.k8s.io` or `v4.channel.k8s.io` (see `channel.rs`); SPDY is not spoken. The caller terminates TLS and puts a
//! [`Peer`] among a request's extensions for a client whose certificate it has verified; without one a request is
//! refused with 401, with one that is not allowed with 403. There is no anonymous access and no unencrypted read-only port.

mod channel;
mod exec;
mod find;
mod logs;
mod route;
mod upgrade;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tower::Service;

use crate::seam::Runtime;
use crate::{Clock, Error};
use route::Route;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Who a client is, by its verified certificate: a request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user: the certificate's common name.
    pub user: String,
    /// The groups: the certificate's organizations.
    pub groups: Vec<String>,
}

/// Who may use the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Users. Default: `kube-apiserver-kubelet-client`.
    pub users: Vec<String>,
    /// Groups. Default: `system:masters`.
    pub groups: Vec<String>,
}

impl Default for Allowed {
    fn default() -> Self {
        Self { users: vec!["kube-apiserver-kubelet-client".into()], groups: vec!["system:masters".into()] }
    }
}

impl Allowed {
    fn allows(&self, peer: &Peer) -> bool {
        self.users.contains(&peer.user) || peer.groups.iter().any(|group| self.groups.contains(group))
    }
}

/// The agent's HTTP interface. Clones share everything.
#[derive(Clone)]
pub struct KubeletServer {
    runtime: Arc<dyn Runtime>,
    clock: Clock,
    allowed: Arc<Allowed>,
}

impl std::fmt::Debug for KubeletServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeletServer").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl KubeletServer {
    /// An interface to the containers of `runtime` for those who are `allowed`.
    pub fn new(runtime: Arc<dyn Runtime>, clock: Clock, allowed: Allowed) -> Self {
        Self { runtime, clock, allowed: Arc::new(allowed) }
    }

    /// The code of an async function belongs to whoever polls it: boxed in a function without parameters it is compiled here, once.
    fn answered(self, parts: Parts) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
        Box::pin(async move { Ok(self.answer(parts).await) })
    }

    async fn answer(self, parts: Parts) -> Response<Body> {
        let route = match Route::parse(&parts.method, &parts.uri) {
            Ok(Route::Health) => return text(StatusCode::OK, "ok"),
            Ok(route) => route,
            Err(status) => return text(status, status.canonical_reason().unwrap_or_default()),
        };
        match parts.extensions.get::<Peer>() {
            None => return text(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Some(peer) if !self.allowed.allows(peer) => {
                return text(StatusCode::FORBIDDEN, &format!("Forbidden (user={})", peer.user));
            }
            Some(_) => {}
        }
        let answered = match route {
            Route::Health => return text(StatusCode::OK, "ok"),
            Route::Logs(at, parameters) => {
                logs::answer(&*self.runtime, &at, &parameters, self.clock.now()).await
            }
            Route::Exec(at, request) => exec::answer(&*self.runtime, &at, request, parts).await,
        };
        answered.unwrap_or_else(|error| text(status_of(&error), &error.to_string()))
    }
}

impl<B: Send + 'static> Service<Request<B>> for KubeletServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.clone().answered(request.into_parts().0)
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::Invalid(_) => StatusCode::BAD_REQUEST,
        Error::Conflict(_) => StatusCode::CONFLICT,
        Error::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Full::from(text.to_owned()).boxed_unsync());
    *response.status_mut() = status;
    response
}
