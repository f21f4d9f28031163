use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use h2::server::SendResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::codegen::http;

use super::super::etcd_server::EtcdServer;
use super::super::front::{Front, admit};
use super::super::gateway;
use super::super::watch;
use super::batched::{Batched, Writing, batched};
use super::output::refuse;
use super::unary::Asked;
use super::{bridge, unary};

/// What a client may send of one call, and on the connection, before it is read. A request of the largest size fits.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Calls at once on one connection.
const CALLS: u32 = 1 << 16;
/// Calls that go on at once, with those that the client has given up; a client that leaves more behind is let go, for else it
/// could begin calls and give them up without end.
const UNDER_WAY: usize = 2 * CALLS as usize;
/// Largest list of header fields.
const HEADERS: u32 = 16 << 10;
/// What one call may have waiting to be sent.
const UNSENT: usize = 256 << 10;

/// What arrives of a call.
pub(in super::super) type Request = http::Request<h2::RecvStream>;
/// Where its answer goes.
pub(in super::super) type Respond = SendResponse<Bytes>;

type Http<I> = h2::server::Connection<Batched<I>, Bytes>;

/// Serves one connection until the client ends it, or until `shutdown` and the end of the calls that run then.
pub(in super::super) async fn serve<I>(io: I, server: EtcdServer, front: Front, shutdown: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let (io, writing) = batched(io);
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(CALLS)
        .max_header_list_size(HEADERS)
        .max_send_buffer_size(UNSENT)
        .handshake(io);
    // A client that does not come to the point is not waited for after the end.
    let Some(Ok(mut http)) = shutdown.run_until_cancelled(handshake).await else { return };
    let mut calls = FuturesUnordered::new();
    let mut stop = pin!(shutdown.cancelled());
    let mut stopping = false;
    poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            http.graceful_shutdown();
        }
        let polled = poll(&mut http, &mut calls, &server, &front, &writing, cx);
        if polled.is_pending() && calls.is_empty() {
            writing.rest();
        }
        polled
    })
    .await;
}

/// Takes what has arrived, works on it as far as that goes, and sends what came of it.
fn poll<'a, I>(
    http: &mut Http<I>,
    calls: &mut FuturesUnordered<BoxFuture<'a, ()>>,
    server: &'a EtcdServer,
    front: &'a Front,
    writing: &Writing<I>,
    cx: &mut Context<'_>,
) -> Poll<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        while let Poll::Ready(accepted) = http.poll_accept(cx) {
            match accepted {
                Some(Ok(_)) if calls.len() >= UNDER_WAY => {
                    tracing::debug!("a client gives up more calls than can be ended");
                    return Poll::Ready(());
                }
                Some(Ok((request, respond))) => calls.push(call(server, front, request, respond)),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a connection broke");
                    return Poll::Ready(());
                }
                None => return Poll::Ready(()),
            }
        }
        let mut ended = false;
        while let Poll::Ready(Some(())) = calls.poll_next_unpin(cx) {
            ended = true;
        }
        if !ended {
            return match writing.poll_flush(cx) {
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a connection broke");
                    Poll::Ready(())
                }
                // Either it is written, or the connection says when more can be.
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            };
        }
    }
}

fn call<'a>(
    server: &'a EtcdServer,
    front: &'a Front,
    request: Request,
    mut respond: Respond,
) -> BoxFuture<'a, ()> {
    let method = request.uri().path();
    if request.method() != http::Method::POST || gateway::serves(method) {
        return Box::pin(bridge::call(front.clone(), request, respond));
    }
    if let Err(status) = admit(server, &request) {
        return Box::pin(async move { refuse(&mut respond, &status) });
    }
    match method {
        "/etcdserverpb.KV/Txn" => {
            let mut asked = Asked::new(server, request);
            Box::pin(async move { unary::txn(server, &mut asked, &mut respond).await })
        }
        "/etcdserverpb.KV/Range" => {
            let mut asked = Asked::new(server, request);
            Box::pin(async move { unary::range(server, &mut asked, &mut respond).await })
        }
        "/etcdserverpb.KV/Put" => {
            let mut asked = Asked::new(server, request);
            Box::pin(async move { unary::put(server, &mut asked, &mut respond).await })
        }
        "/etcdserverpb.Watch/Watch" => Box::pin(watch::call(server, request, respond)),
        // What takes long is not to keep the others from going on.
        _ => Box::pin(bridge::call(front.clone(), request, respond)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Size of the future that a function makes of what arrives.
    fn size<F: Future>(_: impl Fn(&'static EtcdServer, Asked<'static>, Respond) -> F) -> usize {
        size_of::<F>()
    }

    /// The allocator of the C library serves up to 1032 bytes from what a thread keeps, and takes much longer for more.
    #[test]
    fn a_call_takes_little_memory() {
        let txn = size(|server, mut asked, mut respond| async move {
            unary::txn(server, &mut asked, &mut respond).await;
        });
        let put = size(|server, mut asked, mut respond| async move {
            unary::put(server, &mut asked, &mut respond).await;
        });
        assert!(txn <= 1000 && put <= 1000, "{txn} {put}");
    }
}
