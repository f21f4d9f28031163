//! A gRPC client that costs next to nothing, since it shares a small machine with what it measures.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Request};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::wire::Message;
use crate::Failure;

/// What a server may send before it is told that it was read, by stream and by connection.
const WINDOWS: (u32, u32) = (8 << 20, 32 << 20);

/// One connection; clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    requests: h2::client::SendRequest<Bytes>,
    base: String,
}

/// The messages of an answer that does not end.
pub(super) struct Answers {
    body: h2::RecvStream,
    read: BytesMut,
}

impl Connection {
    pub(super) async fn open(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .handshake(stream)
            .await?;
        // Why a connection ended is seen by whoever waits for an answer on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { requests, base: format!("http://{address}") })
    }

    /// The first connection on which a server answers a read that the whole group agrees on.
    pub(super) async fn first(address: &str) -> Result<Self, Failure> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let answered = async || {
            let connection = Self::open(address).await?;
            connection.call(RANGE, Message::default().bytes(1, b"none").framed()).await?;
            Ok::<_, Failure>(connection)
        };
        loop {
            match answered().await {
                Ok(connection) => return Ok(connection),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// Several connections in turn to several addresses.
    pub(super) async fn several(addresses: &[String], count: usize) -> Result<Vec<Self>, Failure> {
        let mut all = Vec::new();
        for address in addresses.iter().cycle().take(count) {
            all.push(Self::first(address).await?);
        }
        Ok(all)
    }

    /// The answer to one message.
    pub(super) async fn call(&self, method: &str, message: Bytes) -> Result<Bytes, Failure> {
        let (mut body, _) = self.ask(method, message, true).await?;
        let mut answer = body.data().await.transpose()?.unwrap_or_default();
        release(&mut body, answer.len())?;
        if let Some(more) = body.data().await.transpose()? {
            let mut all = BytesMut::with_capacity(announced(&answer) + 5);
            all.extend_from_slice(&answer);
            let mut next = Some(more);
            while let Some(more) = next {
                release(&mut body, more.len())?;
                all.extend_from_slice(&more);
                next = body.data().await.transpose()?;
            }
            answer = all.freeze();
        }
        succeeded(body.trailers().await?.as_ref())?;
        if announced(&answer) + 5 != answer.len() {
            return Err("an answer is cut".into());
        }
        answer.advance(5);
        Ok(answer)
    }

    /// Sends messages on a stream that stays open for answers.
    pub(super) async fn stream(
        &self,
        method: &str,
        messages: Bytes,
    ) -> Result<(Answers, h2::SendStream<Bytes>), Failure> {
        let (body, sending) = self.ask(method, messages, false).await?;
        Ok((Answers { body, read: BytesMut::new() }, sending))
    }

    async fn ask(
        &self,
        method: &str,
        message: Bytes,
        last: bool,
    ) -> Result<(h2::RecvStream, h2::SendStream<Bytes>), Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{method}", self.base))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (answer, mut sending) = self.requests.clone().ready().await?.send_request(request, false)?;
        sending.send_data(message, last)?;
        let answer = answer.await?;
        if answer.headers().contains_key("grpc-status") {
            succeeded(Some(answer.headers()))?;
        }
        Ok((answer.into_body(), sending))
    }
}

/// Reads keys.
pub(super) const RANGE: &str = "/etcdserverpb.KV/Range";

fn announced(answer: &[u8]) -> usize {
    let length = answer.get(1..5).and_then(|length| length.try_into().ok()).unwrap_or_default();
    u32::from_be_bytes(length) as usize
}

fn release(body: &mut h2::RecvStream, bytes: usize) -> Result<(), Failure> {
    Ok(body.flow_control().release_capacity(bytes)?)
}

fn succeeded(trailers: Option<&HeaderMap>) -> Result<(), Failure> {
    let text = |name| trailers.and_then(|all| all.get(name)).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        status => Err(format!("status {status:?}: {}", text("grpc-message").unwrap_or_default()).into()),
    }
}

impl Answers {
    /// Waits for messages and hands all that have arrived to `visit`.
    pub(super) async fn next(
        &mut self,
        mut visit: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let data = self.body.data().await.ok_or("the stream ended")??;
        release(&mut self.body, data.len())?;
        self.read.extend_from_slice(&data);
        while self.read.len() >= 5 && self.read.len() >= 5 + announced(&self.read) {
            let end = 5 + announced(&self.read);
            visit(self.read.get(5..end).unwrap_or_default())?;
            self.read.advance(end);
        }
        Ok(())
    }
}
