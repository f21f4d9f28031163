use std::path::PathBuf;
use std::time::Duration;

/// The outcome of a call.
pub type Result<T> = std::result::Result<T, Error>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to the runtime failed, grouped by what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No runtime answers on the socket: try again later.
    #[error("no container runtime answers on {socket}")]
    Unreachable {
        /// The socket that was tried.
        socket: PathBuf,
        /// What the transport said.
        source: Source,
    },
    /// The runtime did not answer in time. The call may still take effect: look before repeating it.
    #[error("{rpc} was not answered within {after:?}")]
    Deadline {
        /// The RPC's name.
        rpc: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The container, sandbox or image does not exist: nothing is left to stop or remove.
    #[error("{rpc}: {message}")]
    NotFound {
        /// The RPC's name.
        rpc: &'static str,
        /// The runtime's message.
        message: String,
    },
    /// Something of that name exists already: look it up instead of creating it.
    #[error("{rpc}: {message}")]
    AlreadyExists {
        /// The RPC's name.
        rpc: &'static str,
        /// The runtime's message.
        message: String,
    },
    /// The request is wrong or does not fit the object's state: repeating it unchanged is useless.
    #[error("{rpc}: {message}")]
    Invalid {
        /// The RPC's name.
        rpc: &'static str,
        /// The runtime's message.
        message: String,
    },
    /// The runtime does not have this RPC: do without it.
    #[error("{rpc} is not implemented by this container runtime")]
    Unsupported {
        /// The RPC's name.
        rpc: &'static str,
    },
    /// The runtime is there but can't serve now: try again later.
    #[error("{rpc}: {message}")]
    Unavailable {
        /// The RPC's name.
        rpc: &'static str,
        /// The runtime's message.
        message: String,
    },
    /// The runtime failed in a way it does not classify; its message is for a person.
    #[error("{rpc}: {message}")]
    Failed {
        /// The RPC's name.
        rpc: &'static str,
        /// The runtime's message.
        message: String,
    },
    /// A streaming session could not be opened, or broke off.
    #[error("streaming session: {context}")]
    Stream {
        /// What was being done.
        context: String,
        /// What the transport said, if it said anything.
        source: Option<Source>,
    },
}

impl Error {
    pub(crate) fn from_status(rpc: &'static str, after: Duration, status: &tonic::Status) -> Self {
        use tonic::Code;
        let message = status.message().to_owned();
        match status.code() {
            Code::NotFound => Self::NotFound { rpc, message },
            Code::AlreadyExists => Self::AlreadyExists { rpc, message },
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
                Self::Invalid { rpc, message }
            }
            Code::Unimplemented => Self::Unsupported { rpc },
            // tonic reports a deadline that passed on this side as cancelled.
            Code::DeadlineExceeded | Code::Cancelled => Self::Deadline { rpc, after },
            Code::Unavailable | Code::ResourceExhausted | Code::Aborted => Self::Unavailable { rpc, message },
            _ => Self::Failed { rpc, message },
        }
    }

    pub(crate) fn stream(context: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Stream { context: context.into(), source: Some(source.into()) }
    }

    /// Whether the thing asked about does not exist, so that stopping or removing it is done.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
