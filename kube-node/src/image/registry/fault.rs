//! What can go wrong with a registry, and how it is told.

use std::time::Duration;

use crate::Error;

/// Why something was not fetched.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody answers there, or nobody that can be trusted.
    Unreachable(String),
    /// The connection broke while something was under way.
    Broken(String),
    /// The server says that it cannot now, and perhaps for how long.
    Busy {
        /// The server's answer.
        answer: String,
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// There is no such image.
    NotFound,
    /// These credentials, or the lack of any, do not open it. With what the server says.
    Denied(String),
    /// The server's answer makes no sense, or is not what it should be.
    Content(String),
    /// This machine is at fault.
    Local(Error),
}

impl Fault {
    /// Whether the same may succeed in a moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Busy { .. })
    }

    /// The error for whoever wanted the image called `name`, in containerd's words, which people look for.
    pub(crate) fn explain(self, name: &str) -> Error {
        let pull = format!("failed to pull and unpack image {name:?}");
        let resolve = format!("{pull}: failed to resolve reference {name:?}");
        match self {
            Self::Unreachable(reason) | Self::Broken(reason) => {
                Error::Unavailable { what: "registry", reason: format!("{pull}: {reason}") }
            }
            Self::NotFound => Error::Failed(format!("{resolve}: {name}: not found")),
            Self::Denied(answer) => Error::Failed(format!(
                "{resolve}: pull access denied, repository does not exist or may require authorization: server message: {answer}"
            )),
            Self::Busy { answer, .. } | Self::Content(answer) => Error::Failed(format!("{pull}: {answer}")),
            Self::Local(error) => error,
        }
    }
}
