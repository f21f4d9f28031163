//! From a listener to connections that can be served.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authority::Tolerant;
use super::certified::Certified;
use super::metrics::Traffic;

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Clients that agree on TLS at once.
const HANDSHAKES: usize = 256;

/// Connections that wait to be served.
const QUEUE: usize = 16;

/// How long to wait when no connection can be accepted, as when the process has too many files.
const PAUSE: Duration = Duration::from_millis(50);

/// How long calls that run when the server is told to stop may take.
const LINGER: Duration = Duration::from_secs(10);

/// A connection, with or without TLS.
pub(crate) type Connection = Tolerant<Box<dyn Io>>;

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<C: AsyncRead + AsyncWrite + Unpin + Send> Io for C {}

/// Where connections come from.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// An address of this machine.
    Tcp(TcpListener),
    /// A file of this machine, which is its owner's to remove.
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl Listener {
    async fn accept(&self, keepalive: Option<Keepalive>) -> io::Result<Box<dyn Io>> {
        let listener = match self {
            Self::Tcp(listener) => listener,
            Self::Unix(listener) => return Ok(Box::new(listener.accept().await?.0)),
        };
        let (stream, _) = listener.accept().await?;
        // Small answers are not worth waiting for more; a connection that refuses is gone, as reading will show.
        let _ = stream.set_nodelay(true);
        if let Some(Err(error)) = keepalive.map(|keepalive| keepalive.apply(&stream)) {
            tracing::debug!(%error, "a connection is not probed");
        }
        Ok(Box::new(stream))
    }
}

/// When a connection is probed on which nothing comes, so that one whose client has vanished ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing may come before that. Default 2 hours, as etcd.
    pub idle: Duration,
    /// How long the client may then stay silent. Default 20 seconds, as etcd.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), timeout: Duration::from_secs(20) }
    }
}

/// Probes without an answer after which a connection ends.
const PROBES: u32 = 4;

impl Keepalive {
    /// Lets the kernel do it: its probes cost a client nothing, and need no timer of ours.
    fn apply(self, stream: &TcpStream) -> rustix::io::Result<()> {
        use rustix::net::sockopt;
        /// What the kernel takes for a time.
        const SECOND: Duration = Duration::from_secs(1);
        const MOST: Duration = Duration::from_secs(32_767);
        sockopt::set_tcp_keepidle(stream, self.idle.clamp(SECOND, MOST))?;
        sockopt::set_tcp_keepintvl(stream, (self.timeout / PROBES).clamp(SECOND, MOST))?;
        sockopt::set_tcp_keepcnt(stream, PROBES)?;
        sockopt::set_socket_keepalive(stream, true)
    }
}

/// How connections are taken.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// With TLS, the configuration of the moment.
    pub(crate) tls: Option<Tls>,
    pub(crate) keepalive: Option<Keepalive>,
    /// Where their bytes are counted.
    pub(crate) traffic: Arc<Traffic>,
}

type Tls = watch::Receiver<Arc<rustls::ServerConfig>>;

/// Accepts until `shutdown`.
pub(crate) fn connections(
    listener: Listener,
    terms: Terms,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let accept = accept(listener, terms, sender);
        shutdown.run_until_cancelled(accept).await;
    });
    ReceiverStream::new(receiver)
}

async fn accept(listener: Listener, terms: Terms, sender: mpsc::Sender<io::Result<Connection>>) {
    let Terms { tls, keepalive, traffic } = terms;
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    while !sender.is_closed() {
        let stream = match listener.accept(keepalive).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection was accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        match &tls {
            None => {
                let connection = Tolerant::new(stream, Certified::default(), traffic.clone());
                let _ = sender.send(Ok(connection)).await;
            }
            Some(tls) => {
                let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
                let (config, sender, traffic) = (tls.borrow().clone(), sender.clone(), traffic.clone());
                tokio::spawn(async move {
                    if let Some(connection) = agree(stream, config, traffic).await {
                        let _ = sender.send(Ok(connection)).await;
                    }
                    drop(permit);
                });
            }
        }
    }
}

/// Lets `serve` serve each connection, on a task of its own. Until `shutdown`, and a little longer while it is not done; whatever
/// goes on then ends.
pub(super) async fn serve_each<F>(
    mut connections: ReceiverStream<io::Result<Connection>>,
    shutdown: CancellationToken,
    serve: impl Fn(Connection) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (served, ended) = (TaskTracker::new(), CancellationToken::new());
    let _ended = ended.clone().drop_guard();
    let serving = async {
        while let Some(Ok(connection)) = connections.next().await {
            served.spawn(ended.clone().run_until_cancelled_owned(serve(connection)));
        }
        served.close();
        served.wait().await;
    };
    let linger = async {
        shutdown.cancelled().await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        () = serving => {}
        // A client that does not read its answers must not keep the server.
        () = linger => {}
    }
}

async fn agree(
    stream: Box<dyn Io>,
    config: Arc<rustls::ServerConfig>,
    traffic: Arc<Traffic>,
) -> Option<Connection> {
    match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let certified = Certified::of(stream.get_ref().1);
            Some(Tolerant::new(Box::new(stream), certified, traffic))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client did not agree on TLS");
            None
        }
        Err(_) => None,
    }
}
