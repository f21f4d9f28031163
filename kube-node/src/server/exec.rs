use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::Response;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::channel::{self, Input, Protocol, STDERR, STDOUT};
use super::route::Place;
use super::upgrade::{self, Socket};
use super::{Body, find};
use crate::seam::{ExecRequest, ExecSession, InputStream, OutputStream, Runtime, TerminalSize};
use crate::{Error, Result};

/// Bytes of output in one message.
const PIECE: usize = 32 << 10;
/// Messages that wait for a slow client.
const QUEUE: usize = 8;
/// How long output may still come after the process has ended, if something else holds it open.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers with the upgrade. What cannot be run is told over the session, as a process's end is: of a refused upgrade clients show no reason.
pub(super) async fn answer(
    runtime: &dyn Runtime,
    at: &Place,
    request: ExecRequest,
    mut parts: Parts,
) -> Result<Response<Body>> {
    let container = find::running(runtime, at).await?;
    let (protocol, response) = upgrade::accept(&parts.headers)?;
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| Error::Invalid("this connection can't be upgraded".into()))?;
    let session = match request.command.is_empty() {
        true => runtime.attach(&container.id, request).await,
        false => runtime.exec(&container.id, request).await,
    };
    tokio::spawn(async move {
        match (upgrade::socket(upgrade).await, session) {
            (Ok(socket), Ok(session)) => carry(socket, protocol, session).await,
            (Ok(socket), Err(error)) => refuse(socket, error).await,
            (Err(error), _) => tracing::debug!(%error, "a session's connection broke before it began"),
        }
    });
    Ok(response)
}

/// Says why there is no session, and ends it.
async fn refuse(socket: Socket, error: Error) {
    let (mut sink, _stream) = socket.split();
    let _ = sink.send(Message::Binary(channel::status(&Err(error)))).await;
    close(sink).await;
}

/// Carries a session over its socket until the process has ended or the client has gone, which drops the session and so ends it.
async fn carry(socket: Socket, protocol: Protocol, session: ExecSession) {
    let (mut sink, stream) = socket.split();
    let (to, mut messages) = mpsc::channel::<Bytes>(QUEUE);
    let outputs = futures::future::join(
        pump(session.stdout, STDOUT, to.clone()),
        pump(session.stderr, STDERR, to.clone()),
    );
    let run = async {
        let exit = session.exit;
        let mut outputs = std::pin::pin!(outputs);
        let mut exit = std::pin::pin!(exit);
        let (mut drained, mut ended) = (false, None);
        while ended.is_none() {
            tokio::select! {
                result = &mut exit => ended = Some(result),
                _ = &mut outputs, if !drained => drained = true,
            }
        }
        if !drained {
            let _ = tokio::time::timeout(DRAIN, outputs).await;
        }
        let status = ended.unwrap_or_else(|| Err(Error::Failed("the session has no end".into())));
        let _ = to.send(channel::status(&status)).await;
        drop(to);
    };
    let write = async {
        while let Some(message) = messages.recv().await {
            if sink.send(Message::Binary(message)).await.is_err() {
                return;
            }
        }
        close(sink).await;
    };
    tokio::select! {
        _ = futures::future::join(run, write) => {}
        () = listen(stream, protocol, session.stdin, session.resize) => {}
    }
}

async fn close(mut sink: SplitSink<Socket, Message>) {
    // Clients take any other code, or none, for a broken session.
    let normally = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
    let _ = sink.send(Message::Close(Some(normally))).await;
    let _ = sink.close().await;
}

/// Sends what a process prints, in pieces, until it closes its side.
async fn pump(stream: Option<OutputStream>, channel: u8, to: mpsc::Sender<Bytes>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; PIECE];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        let piece = channel::output(channel, buffer.get(..n).unwrap_or_default());
        if to.send(piece).await.is_err() {
            return;
        }
    }
}

/// Takes what the client sends. Resolves when the client has gone.
async fn listen(
    mut stream: SplitStream<Socket>,
    protocol: Protocol,
    mut stdin: Option<InputStream>,
    resize: Option<mpsc::Sender<TerminalSize>>,
) {
    while let Some(Ok(message)) = stream.next().await {
        match Input::parse(protocol, message.into_data()) {
            Input::Stdin(data) => {
                if let Some(input) = &mut stdin
                    && (input.write_all(&data).await.is_err() || input.flush().await.is_err())
                {
                    // The process does not read any more; what it prints is still wanted.
                    stdin = None;
                }
            }
            Input::EndOfStdin => {
                if let Some(mut input) = stdin.take() {
                    let _ = input.shutdown().await;
                }
            }
            Input::Resize(size) => {
                if let Some(resize) = &resize {
                    let _ = resize.try_send(size);
                }
            }
            Input::Ignored => {}
        }
    }
}
