//! Watches of clients that a general server serves.

use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use futures::Stream;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::super::auth::Guard;
use super::super::etcd_server::EtcdServer;
use super::super::rpc::{Gone, PREFIX};
use super::{Client, Ended, serve};
use crate::etcd::r#gen::etcdserverpb as pb;

/// What such a client reads.
pub(in super::super) type Responses = ReceiverStream<Result<pb::WatchResponse, Status>>;

/// Responses that wait for the client.
const QUEUE: usize = 16;

struct General {
    requests: Streaming<pb::WatchRequest>,
    responses: mpsc::Sender<Result<pb::WatchResponse, Status>>,
    /// A response of which more will follow.
    part: BytesMut,
}

/// Serves the watches that `requests` create, until the client goes away.
pub(in super::super) fn general(
    server: EtcdServer,
    guard: Guard,
    requests: Streaming<pb::WatchRequest>,
) -> Responses {
    let (responses, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut client = General { requests, responses, part: BytesMut::new() };
        if let Ended::Told(Err(status)) = serve(&server, guard, &mut client).await {
            // Without a client nobody needs to know.
            let _ = client.responses.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

impl Client for General {
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<pb::WatchRequest>, Status>> {
        std::pin::Pin::new(&mut self.requests).poll_next(cx).map(Option::transpose)
    }

    async fn send(&mut self, buffer: &mut BytesMut) -> Result<(), Gone> {
        self.part.unsplit(buffer.split());
        while let Some(mut prefix) = self.part.get(1..PREFIX) {
            let length = PREFIX + prefix.get_u32() as usize;
            if self.part.len() < length {
                break;
            }
            let message = self.part.split_to(length).freeze().slice(PREFIX..);
            let response = pb::WatchResponse::decode(message).map_err(|_| Gone)?;
            self.responses.send(Ok(response)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    async fn gone(&mut self) {
        self.responses.closed().await;
    }
}
