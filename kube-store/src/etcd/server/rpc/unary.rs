//! Calls with one message there and one back.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::codegen::http::HeaderMap;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response, Status};

use super::super::etcd_server::EtcdServer;
use super::super::metrics::{Running, code_of};
use super::connection::{Request, Respond};
use super::deadline::{limit, within};
use super::messages::{Messages, PREFIX};
use super::output::{Gone, Output, refuse};
use super::page::Page;
use crate::etcd::r#gen::etcdserverpb as pb;
use pb::kv_server::Kv;

/// What arrives of a call, and how long the client waits. Its parts are taken out of the request before a future is made: there is
/// one for each call, and one that is small enough costs less memory and much less time.
pub(super) struct Asked<'a> {
    headers: HeaderMap,
    messages: Messages,
    limit: Option<Duration>,
    running: Option<Running<'a>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(server: &'a EtcdServer, request: Request) -> Self {
        let running = Some(server.metrics.calls.begin(request.uri().path()));
        let (parts, body) = request.into_parts();
        let limit = limit(&parts.headers);
        Self {
            headers: parts.headers,
            messages: Messages::new(body, server.config.largest_message()),
            limit,
            running,
        }
    }

    /// Reads a request with what says who sent it.
    async fn take<M: Message + Default>(&mut self) -> Result<tonic::Request<M>, Status> {
        let message = self.messages.only().await?;
        let metadata = MetadataMap::from_headers(std::mem::take(&mut self.headers));
        Ok(tonic::Request::from_parts(metadata, Extensions::new(), message))
    }

    fn end<T>(&mut self, answered: &Result<T, Status>) {
        if let Some(running) = self.running.take() {
            running.end(code_of(answered));
        }
    }
}

pub(super) async fn txn(server: &EtcdServer, asked: &mut Asked<'_>, respond: &mut Respond) {
    let answered = match asked.take().await {
        Ok(request) => within(asked.limit, server.txn(request)).await,
        Err(status) => Err(status),
    };
    asked.end(&answered);
    answer(respond, answered.map(Response::into_inner));
}

pub(super) async fn put(server: &EtcdServer, asked: &mut Asked<'_>, respond: &mut Respond) {
    let answered = match asked.take().await {
        Ok(request) => within(asked.limit, server.put(request)).await,
        Err(status) => Err(status),
    };
    asked.end(&answered);
    answer(respond, answered.map(Response::into_inner));
}

pub(super) async fn range(server: &EtcdServer, asked: &mut Asked<'_>, respond: &mut Respond) {
    let answered = match asked.take().await {
        Ok(request) => within(asked.limit, server.range(request)).await,
        Err(status) => Err(status),
    };
    asked.end(&answered);
    match answered {
        Ok(response) => {
            // The client may go away meanwhile.
            let _ = send(respond, Page::new(response.into_inner())).await;
        }
        Err(status) => refuse(respond, &status),
    }
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
