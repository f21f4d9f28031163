use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};

use super::frame;
use crate::{Error, Result};

/// Bytes buffered in each direction of each stream; a slow reader holds the session back instead of filling memory.
const STREAM_BUFFER: usize = 64 << 10;

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// How a session's command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command ran and returned this code.
    Code(i32),
    /// The command could not be run, or the runtime does not say how it ended.
    Failed(String),
}

/// An open session. Streams that were not asked for stay silent. Dropping `stdin` tells the command that its input has ended,
/// if the runtime speaks `v5.channel.k8s.io`. Dropping every part closes the connection; while one is left, the session goes on.
#[derive(Debug)]
pub struct Session {
    /// The command's standard input.
    pub stdin: DuplexStream,
    /// The command's standard output; with a terminal also its standard error.
    pub stdout: DuplexStream,
    /// The command's standard error.
    pub stderr: DuplexStream,
    /// Tells the runtime the terminal's size.
    pub resize: mpsc::Sender<TerminalSize>,
    /// How the command ended. An error of the receiver means that the connection broke first.
    pub exit: oneshot::Receiver<Exit>,
}

/// Opens the session behind `url`, an `http` URL from [`crate::Client::exec`] or [`crate::Client::attach`].
///
/// # Errors
/// [`Error::Stream`] if the URL is not of that form, nobody answers, or the runtime speaks no WebSocket.
pub async fn open(url: &str) -> Result<Session> {
    let host = authority(url)?;
    let tcp =
        TcpStream::connect(host).await.map_err(|e| Error::stream(format!("connecting to {host}"), e))?;
    open_over(tcp, url).await
}

/// Opens the session behind `url` over a connection that the caller made, for a runtime in another network namespace or
/// behind a tunnel.
///
/// # Errors
/// As [`open`].
pub async fn open_over<S>(connection: S, url: &str) -> Result<Session>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    authority(url)?;
    let handshake = |e| Error::stream(format!("upgrading {url}"), e);
    let mut request = url.replacen("http", "ws", 1).into_client_request().map_err(handshake)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(frame::PROTOCOLS));
    let (socket, response) = tokio_tungstenite::client_async(request, connection).await.map_err(handshake)?;
    let protocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let closes_stdin = protocol.is_some_and(|p| p.as_bytes().starts_with(b"v5."));
    Ok(spawn(socket, closes_stdin))
}

fn authority(url: &str) -> Result<&str> {
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    authority.ok_or_else(|| Error::Stream { context: format!("{url} is not an http URL"), source: None })
}

fn spawn<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    socket: WebSocketStream<S>,
    closes_stdin: bool,
) -> Session {
    let (stdin, stdin_end) = duplex(STREAM_BUFFER);
    let (stdout, stdout_end) = duplex(STREAM_BUFFER);
    let (stderr, stderr_end) = duplex(STREAM_BUFFER);
    let (resize, sizes) = mpsc::channel(4);
    let (exit_sender, exit) = oneshot::channel();
    let ends = Ends { stdin: stdin_end, sizes, stdout: stdout_end, stderr: stderr_end, exit: exit_sender };
    tokio::spawn(serve(socket, ends, closes_stdin));
    Session { stdin, stdout, stderr, resize, exit }
}

/// The other ends of a [`Session`]'s parts.
struct Ends {
    stdin: DuplexStream,
    sizes: mpsc::Receiver<TerminalSize>,
    stdout: DuplexStream,
    stderr: DuplexStream,
    exit: oneshot::Sender<Exit>,
}

/// Serves a session until the runtime closes the connection or the caller has dropped every part; either closes it.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: WebSocketStream<S>,
    ends: Ends,
    closes_stdin: bool,
) {
    let Ends { stdin, sizes, stdout, stderr, mut exit } = ends;
    let (mut sink, stream) = socket.split();
    let (stdout_dropped, stdout) = split(stdout);
    let (stderr_dropped, stderr) = split(stderr);
    let nobody_is_left = async {
        let input = write(&mut sink, stdin, sizes, closes_stdin);
        tokio::join!(input, dropped(stdout_dropped), dropped(stderr_dropped), exit.closed());
    };
    let status = tokio::select! {
        status = read(stream, stdout, stderr) => status,
        () = nobody_is_left => None,
    };
    if let Some(status) = status {
        let _ = exit.send(status);
    }
}

/// Ends when the caller has dropped its side of an output. Nothing is meant to be written there; it would be ignored.
async fn dropped(mut output: ReadHalf<DuplexStream>) {
    let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
}

/// Carries stdin and sizes to the runtime, until both have ended.
async fn write<S: AsyncRead + AsyncWrite + Unpin + Send>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    mut stdin: DuplexStream,
    mut sizes: mpsc::Receiver<TerminalSize>,
    closes_stdin: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    let (mut input_open, mut sizes_open) = (true, true);
    while input_open || sizes_open {
        let message = tokio::select! {
            read = stdin.read(&mut buffer), if input_open => match read {
                Ok(n) if n > 0 => frame::data(frame::STDIN, buffer.get(..n).unwrap_or_default()),
                _ => {
                    input_open = false;
                    if !closes_stdin { continue }
                    vec![frame::CLOSE, frame::STDIN]
                }
            },
            size = sizes.recv(), if sizes_open => match size {
                Some(size) => frame::resize(size),
                None => { sizes_open = false; continue }
            },
        };
        if sink.send(Message::binary(message)).await.is_err() {
            return;
        }
    }
}

/// Carries output from the runtime until it closes the connection; the exit status, if it sent one.
async fn read<S: AsyncRead + AsyncWrite + Unpin + Send>(
    mut stream: SplitStream<WebSocketStream<S>>,
    mut stdout: WriteHalf<DuplexStream>,
    mut stderr: WriteHalf<DuplexStream>,
) -> Option<Exit> {
    let mut status = None;
    while let Some(Ok(message)) = stream.next().await {
        let payload = message.into_data();
        let Some((&channel, data)) = payload.split_first() else { continue };
        // A reader that has gone away must not keep the others from being served.
        match channel {
            frame::STDOUT => _ = stdout.write_all(data).await,
            frame::STDERR => _ = stderr.write_all(data).await,
            frame::STATUS if !data.is_empty() => status = Some(frame::exit(data)),
            _ => {}
        }
    }
    status
}

#[cfg(test)]
mod tests;
