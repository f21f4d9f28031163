//! What a port serves: gRPC, the same as JSON, and pages beside it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::service::Routes;

use super::certified::Certified;
use super::etcd_server::{EtcdServer, no_leader, not_for_learners};
use super::gateway;
use super::metrics::Metrics;
use super::pages::{self, Response, page};

/// Answers plain HTTP requests itself and hands on all others.
#[derive(Debug, Clone)]
pub(super) struct Front {
    server: EtcdServer,
    /// `None` where only pages are served.
    routes: Option<Routes>,
    certified: Certified,
}

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

    pub(super) fn largest_message(&self) -> usize {
        self.server.config.largest_message()
    }

    /// The answer to a request on a path of the gateway.
    fn gateway(
        &self,
        request: http::Request<Body>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let services = self.routes.clone().filter(|_| self.server.config.json_gateway);
        let (server, certified) = (self.server.clone(), self.certified.clone());
        async move {
            Ok(match services {
                Some(services) => gateway::respond(server, services, certified, request).await,
                None => pages::not_found(),
            })
        }
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
        if gateway::serves(request.uri().path()) {
            return self.gateway(request).boxed();
        }
        if request.method() == http::Method::GET {
            let (server, uri) = (self.server.clone(), request.uri().clone());
            return async move { Ok(page(&server, &uri).await) }.boxed();
        }
        if let Err(status) = admit(&self.server, &request) {
            return async move { Ok(status.into_http()) }.boxed();
        }
        let Some(routes) = &mut self.routes else {
            return async { Ok(pages::not_found()) }.boxed();
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
