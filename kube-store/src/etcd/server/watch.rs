//! One gRPC stream carries many watches.

mod encode;
mod feed;
mod general;
mod session;
mod subscription;

use std::task::{Context, Poll};

use bytes::BytesMut;
use tonic::codegen::http;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Status};

pub(super) use self::feed::Feeds;
pub(super) use self::general::{Responses, general};
use self::session::Session;
use super::auth::Guard;
use super::etcd_server::{EtcdServer, no_leader};
use super::metrics::{Counted, code_of};
use super::rpc::{Gone, Messages, Output, Respond, exceeded, limit, passed, refuse};
use crate::etcd::r#gen::etcdserverpb as pb;

/// What a client reads and writes.
trait Client {
    /// The next request; `None` when it sends no more.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<pb::WatchRequest>, Status>>;

    /// Sends as much as the client takes of responses that are framed as gRPC has them; waits while it takes nothing.
    async fn send(&mut self, buffer: &mut BytesMut) -> Result<(), Gone>;

    /// Resolves when the client is gone.
    async fn gone(&mut self);
}

/// A client on a connection that is served here.
struct Direct {
    requests: Messages,
    output: Output,
}

impl Client for Direct {
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<pb::WatchRequest>, Status>> {
        self.requests.poll_next(cx)
    }

    async fn send(&mut self, buffer: &mut BytesMut) -> Result<(), Gone> {
        self.output.send(buffer).await
    }

    async fn gone(&mut self) {
        self.output.gone().await;
    }
}

/// Why a stream is over.
enum Ended {
    /// The client is gone.
    Gone,
    /// We end it, and say so.
    Told(Result<(), Status>),
}

/// Serves the watches that a client creates, until it goes away.
pub(super) async fn call(server: &EtcdServer, request: http::Request<h2::RecvStream>, mut respond: Respond) {
    let running = server.metrics.calls.begin(request.uri().path());
    let limit = limit(request.headers());
    let (parts, body) = request.into_parts();
    let metadata = MetadataMap::from_headers(parts.headers);
    let guard = Guard::new(server, &tonic::Request::from_parts(metadata, Extensions::new(), ()));
    // Without a valid token there is nothing to ask for later.
    if let Err(status) = guard.caller().await {
        running.end(status.code());
        return refuse(&mut respond, &status);
    }
    let Ok(output) = Output::begin(&mut respond) else { return };
    let mut client = Direct { requests: Messages::new(body, server.config.largest_message()), output };
    let ended = tokio::select! {
        ended = serve(server, guard, &mut client) => ended,
        () = passed(limit) => Ended::Told(Err(exceeded())),
    };
    if let Ended::Told(outcome) = ended {
        running.end(code_of(&outcome));
        client.output.end(outcome);
    }
}

async fn serve(server: &EtcdServer, guard: Guard, client: &mut impl Client) -> Ended {
    let _stream = Counted::in_gauge(&server.metrics.watch_streams);
    let wants_leader = guard.wants_leader();
    let mut session = Session::new(server, guard);
    let mut leaderless = std::pin::pin!(async {
        match wants_leader {
            true => server.group.lose_leader().await,
            false => std::future::pending().await,
        }
    });
    let mut more_requests = true;
    loop {
        let is_all = session.collect().await;
        if !session.buffer.is_empty() {
            let sent = tokio::select! {
                sent = client.send(&mut session.buffer) => sent,
                () = server.shutdown.cancelled() => return Ended::Told(Ok(())),
            };
            if sent.is_err() {
                return Ended::Gone;
            }
            continue;
        }
        if !is_all {
            continue;
        }
        let next = tokio::select! {
            next = next(client, more_requests) => next,
            () = session.wake.notified() => continue,
            () = server.shutdown.cancelled() => return Ended::Told(Ok(())),
            // The client looks for a member that has one.
            () = &mut leaderless => return Ended::Told(Err(no_leader())),
        };
        let request = match next {
            Ok(Some(request)) => request,
            // A client that sends no more may still read.
            Ok(None) => {
                more_requests = false;
                continue;
            }
            Err(ended) => return ended,
        };
        // A store may take long to answer, or wait for a leader.
        tokio::select! {
            () = session.handle(request) => {}
            () = client.gone() => return Ended::Gone,
            () = server.shutdown.cancelled() => return Ended::Told(Ok(())),
            () = &mut leaderless => return Ended::Told(Err(no_leader())),
        }
    }
}

/// The client's next request, if there may be one, or why there will be none.
async fn next(client: &mut impl Client, more: bool) -> Result<Option<pb::WatchRequest>, Ended> {
    if more {
        let request = std::future::poll_fn(|cx| client.poll_request(cx)).await;
        // A client that broke off does not hear of it; one that sent what cannot be read should.
        return request.map_err(|status| Ended::Told(Err(status)));
    }
    client.gone().await;
    Err(Ended::Gone)
}
