//! The way from the API server to a node's agent: logs, exec, attach, port-forward.
//!
//! [`forward`] hands a request on to the agent of a node over a connection that a [`NodeConnector`] makes. A request for an upgrade
//! (WebSocket, SPDY) becomes, once the agent has answered 101, a pipe of bytes that nobody in between reads. Any other answer to
//! it ends the connection, so that nothing pipelined behind it can reach the agent; redirects are handed back, never followed.

mod forward;
mod tls;

use std::fmt;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

pub use forward::{NodeBody, forward};
pub use tls::TlsConnector;

/// Where a node's agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// The node's name.
    pub name: String,
    /// An IP address or a host name.
    pub host: String,
    /// The agent's port.
    pub port: u16,
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A byte stream to an agent.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Makes connections to the agents of nodes, secured and authenticated as they want it. [`TlsConnector`] dials them; a cluster in one
/// process can hand out one end of a [`tokio::io::duplex`] instead.
///
/// A connection carries one request. Dropping the future abandons the attempt.
#[async_trait]
pub trait NodeConnector: Send + Sync + fmt::Debug {
    /// Connects to the agent at `node`.
    ///
    /// # Errors
    /// Any, with a text for the person who asked for the logs.
    async fn connect(&self, node: &NodeAddress) -> std::io::Result<Box<dyn Connection>>;
}

/// Why a request could not be handed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The agent could not be reached.
    #[error("error dialing backend: {node}: {source}")]
    Unreachable {
        /// Where it should be.
        node: NodeAddress,
        /// What the connector said.
        source: std::io::Error,
    },
    /// The agent broke off before it answered.
    #[error("error sending request to {node}: {source}")]
    Broken {
        /// Where it is.
        node: NodeAddress,
        /// What happened.
        source: hyper::Error,
    },
    /// The path is not one that can be sent.
    #[error("{path:?} is not a path")]
    Path {
        /// The path.
        path: String,
    },
}

#[cfg(test)]
mod tests;
