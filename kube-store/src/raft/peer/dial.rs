//! Connecting to another member.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tonic::codegen::{Service, http};
use tonic::transport::{Channel, Endpoint};

use crate::etcd::server::Io;
use crate::{Error, Result};

/// How a member shows itself to others and whom it believes; it can be replaced while it is used.
pub type PeerTls = watch::Receiver<Arc<rustls::ClientConfig>>;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a connection is asked whether it is alive, and how long it may take to say so: a partition must not leave
/// connections behind that wait for minutes after it has ended.
const ALIVE: Duration = Duration::from_secs(1);

/// Connects to the member at `url`.
pub(super) async fn dial(url: &str, tls: Option<&PeerTls>) -> Result<Channel> {
    let dialer = Dialer::new(url, tls)?;
    // TLS is the dialer's; the layer above would refuse a scheme whose meaning it does not know.
    let named = if dialer.is_file { "localhost" } else { &dialer.address };
    let endpoint = Endpoint::from_shared(format!("http://{named}")).map_err(unreachable)?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(ALIVE)
        .keep_alive_timeout(2 * ALIVE)
        .keep_alive_while_idle(true);
    endpoint.connect_with_connector(dialer).await.map_err(unreachable)
}

fn unreachable(error: impl std::error::Error) -> Error {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let reason = format!("{error}{}", causes.map(|cause| format!(": {cause}")).collect::<String>());
    Error::Unavailable { reason }
}

/// Makes one connection.
#[derive(Clone)]
struct Dialer {
    address: String,
    /// Whether the address, port and all, is the name of a file, as etcd has it.
    is_file: bool,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    fn new(url: &str, tls: Option<&PeerTls>) -> Result<Self> {
        let wrong = |why: &str| Error::Unavailable { reason: format!("{url}: {why}") };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("not a URL"))?;
        let address = rest.trim_end_matches('/').to_owned();
        let tls = match (scheme, tls) {
            ("http" | "unix", _) => None,
            ("https" | "unixs", Some(tls)) => {
                let (host, _) = address.rsplit_once(':').ok_or_else(|| wrong("a port is missing"))?;
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(|_| wrong("not the name of a host"))?;
                Some((TlsConnector::from(tls.borrow().clone()), name))
            }
            ("https" | "unixs", None) => return Err(wrong("there are no certificates for TLS")),
            _ => return Err(wrong("expected http, https, unix or unixs")),
        };
        Ok(Self { address, is_file: scheme.starts_with("unix"), tls })
    }

    async fn connect(self) -> io::Result<TokioIo<Box<dyn Io>>> {
        let stream: Box<dyn Io> = match self.is_file {
            true => Box::new(UnixStream::connect(&self.address).await?),
            false => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        Ok(TokioIo::new(match self.tls {
            None => stream,
            Some((connector, name)) => Box::new(connector.connect(name, stream).await?),
        }))
    }
}

impl Service<http::Uri> for Dialer {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
