//! The one error type of this crate.

use std::io;

/// What went wrong, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value contradicts its documentation; correct it and start again.
    #[error("invalid configuration: {field}: {reason}")]
    Invalid {
        /// The field of the configuration.
        field: &'static str,
        /// Why its value cannot be used.
        reason: String,
    },
    /// The process may not change the host's packet filter; use another dataplane or more privileges.
    #[error("not permitted to {action}")]
    Denied {
        /// What was attempted.
        action: &'static str,
    },
    /// The kernel has no support for something the dataplane needs; use another dataplane.
    #[error("the kernel does not support {what}")]
    Unsupported {
        /// The missing feature.
        what: &'static str,
    },
    /// The kernel refused a transaction. Nothing of it was applied; trying again rebuilds from nothing.
    #[error("the kernel refused the transaction at message {message}: {source}")]
    Refused {
        /// Number of the message within the transaction, counted from zero.
        message: u32,
        /// The kernel's error code.
        source: io::Error,
    },
    /// An operating-system call failed; trying again later may succeed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The other side of a socket said something that its protocol does not allow.
    #[error("malformed {what}")]
    Malformed {
        /// What could not be read.
        what: &'static str,
    },
    /// A bound was reached; the work was turned away.
    #[error("too many {what}, the limit is {limit}")]
    Exhausted {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The component was stopped.
    #[error("stopped")]
    Stopped,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps a failed call.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied { action },
            _ => Self::Io { action, source },
        }
    }
}
