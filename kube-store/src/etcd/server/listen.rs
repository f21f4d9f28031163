//! From a listener to connections that can be served.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authority::Tolerant;

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Clients that agree on TLS at once.
const HANDSHAKES: usize = 256;

/// Connections that wait to be served.
const QUEUE: usize = 16;

/// How long to wait when no connection can be accepted, as when the process has too many files.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection, with or without TLS.
pub(crate) type Connection = Tolerant<Box<dyn Io>>;

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<C: AsyncRead + AsyncWrite + Unpin + Send> Io for C {}

type Tls = watch::Receiver<Arc<rustls::ServerConfig>>;

/// Accepts until `shutdown`.
pub(crate) fn connections(
    listener: TcpListener,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let accept = accept(listener, tls, sender);
        shutdown.run_until_cancelled(accept).await;
    });
    ReceiverStream::new(receiver)
}

async fn accept(listener: TcpListener, tls: Option<Tls>, sender: mpsc::Sender<io::Result<Connection>>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    while !sender.is_closed() {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection was accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Small answers are not worth waiting for more; a connection that refuses is gone, as reading will show.
        let _ = stream.set_nodelay(true);
        match &tls {
            None => {
                let _ = sender.send(Ok(Tolerant::new(Box::new(stream) as Box<dyn Io>))).await;
            }
            Some(tls) => {
                let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
                let (config, sender) = (tls.borrow().clone(), sender.clone());
                tokio::spawn(async move {
                    if let Some(connection) = agree(stream, config).await {
                        let _ = sender.send(Ok(connection)).await;
                    }
                    drop(permit);
                });
            }
        }
    }
}

/// Gives the connections on which a client speaks HTTP/2 to `serve`, and answers the others. Until `shutdown`; `tasks` has
/// whatever holds on to `serve`.
pub(super) fn without_http2(
    mut connections: ReceiverStream<io::Result<Connection>>,
    serve: impl Fn(Connection) + Clone + Send + 'static,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (each, ended) = (tasks.clone(), shutdown.clone());
    let sort = async move {
        while let Some(Ok(mut connection)) = connections.next().await {
            let (serve, sender) = (serve.clone(), sender.clone());
            let sort = async move {
                match connection.speaks_http2().await {
                    Ok(true) => serve(connection),
                    Ok(false) => _ = sender.send(Ok(connection)).await,
                    Err(_) => {}
                }
            };
            each.spawn(ended.clone().run_until_cancelled_owned(sort));
        }
    };
    tasks.spawn(shutdown.run_until_cancelled_owned(sort));
    ReceiverStream::new(receiver)
}

async fn agree(stream: TcpStream, config: Arc<rustls::ServerConfig>) -> Option<Connection> {
    match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Some(Tolerant::new(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client did not agree on TLS");
            None
        }
        Err(_) => None,
    }
}
