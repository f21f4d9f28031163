//! gRPC's service of health, which etcd offers for the server as a whole and for no service by its name.

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus as Code;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::etcd_server::Answer;

/// Says that the server serves: one that does not has no connections either.
#[derive(Debug, Clone)]
pub(super) struct Health {
    /// Ends who watches.
    pub(super) shutdown: CancellationToken,
}

fn response(status: Code) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Answer<HealthCheckResponse> {
        match request.get_ref().service.as_str() {
            "" => Ok(Response::new(response(Code::Serving))),
            _ => Err(Status::not_found("unknown service")),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Tells it once, and then nothing, since it does not change.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Answer<Self::WatchStream> {
        let known = request.get_ref().service.is_empty();
        let status = if known { Code::Serving } else { Code::ServiceUnknown };
        let once = stream::iter([Ok(response(status))]);
        let ended = self.shutdown.clone().cancelled_owned();
        Ok(Response::new(once.chain(stream::pending()).take_until(ended).boxed()))
    }
}
