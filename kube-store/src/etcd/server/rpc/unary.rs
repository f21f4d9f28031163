//! Calls with one message there and one back.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response, Status};

use super::super::etcd_server::EtcdServer;
use super::super::metrics::code_of;
use super::connection::{Request, Respond};
use super::deadline::{limit, within};
use super::messages::{Messages, PREFIX};
use super::output::{Gone, Output, refuse};
use super::page::Page;
use crate::etcd::r#gen::etcdserverpb as pb;
use pb::kv_server::Kv;

pub(super) async fn txn(server: &EtcdServer, request: Request, mut respond: Respond) {
    let running = server.metrics.calls.begin(request.uri().path());
    let limit = limit(request.headers());
    let answered = within(limit, async { server.txn(take(request).await?).await }).await;
    running.end(code_of(&answered));
    answer(&mut respond, answered.map(Response::into_inner));
}

pub(super) async fn put(server: &EtcdServer, request: Request, mut respond: Respond) {
    let running = server.metrics.calls.begin(request.uri().path());
    let limit = limit(request.headers());
    let answered = within(limit, async { server.put(take(request).await?).await }).await;
    running.end(code_of(&answered));
    answer(&mut respond, answered.map(Response::into_inner));
}

pub(super) async fn range(server: &EtcdServer, request: Request, mut respond: Respond) {
    let running = server.metrics.calls.begin(request.uri().path());
    let limit = limit(request.headers());
    let answered = within(limit, async { server.range(take(request).await?).await }).await;
    running.end(code_of(&answered));
    match answered {
        Ok(response) => {
            // The client may go away meanwhile.
            let _ = send(&mut respond, Page::new(response.into_inner())).await;
        }
        Err(status) => refuse(&mut respond, &status),
    }
}

/// Reads a request with what says who sent it.
async fn take<M: Message + Default>(request: Request) -> Result<tonic::Request<M>, Status> {
    let (parts, body) = request.into_parts();
    let message = Messages::new(body).only().await?;
    Ok(tonic::Request::from_parts(MetadataMap::from_headers(parts.headers), Extensions::new(), message))
}

fn answer<M: Message>(respond: &mut Respond, answered: Result<M, Status>) {
    match answered {
        Ok(message) => {
            // The client may be gone.
            let _ = Output::begin(respond).and_then(|mut output| {
                output.send_now(framed(&message))?;
                output.end(Ok(()));
                Ok::<_, Gone>(())
            });
        }
        Err(status) => refuse(respond, &status),
    }
}

/// A message as gRPC sends it.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut bytes, length);
    // The memory it needs is there.
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

pub(super) fn put_prefix(bytes: &mut BytesMut, length: usize) {
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Sends a page as the client takes it.
async fn send(respond: &mut Respond, mut page: Page) -> Result<(), Gone> {
    let mut output = Output::begin(respond)?;
    let mut buffer = BytesMut::new();
    if page.is_small() {
        page.fill(&mut buffer);
        output.send_now(buffer.freeze())?;
    } else {
        while page.fill(&mut buffer) {
            while !buffer.is_empty() {
                output.send(&mut buffer).await?;
            }
        }
    }
    output.end(Ok(()));
    Ok(())
}
