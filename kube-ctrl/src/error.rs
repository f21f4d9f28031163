//! What can go wrong, grouped by what the caller can do about it.

use kube::core::Status;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an observation or an action failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object changed since it was read: observe again and retry at once.
    #[error("{}", .0.message)]
    Conflict(#[source] Box<Status>),
    /// The object, or the kind itself, does not exist (any more).
    #[error("{}", .0.message)]
    NotFound(#[source] Box<Status>),
    /// An object of that name exists already.
    #[error("{}", .0.message)]
    AlreadyExists(#[source] Box<Status>),
    /// The namespace is being deleted: nothing can be created in it, retrying is pointless.
    #[error("{}", .0.message)]
    Terminating(#[source] Box<Status>),
    /// The server refused the request and will refuse it again unchanged: retry with back-off.
    #[error("{}", .0.message)]
    Rejected(#[source] Box<Status>),
    /// The server could not be reached or is overloaded: retry with back-off.
    #[error("the API server is unavailable")]
    Unavailable(#[source] kube::Error),
    /// An object could not be decoded or lacks what every stored object has.
    #[error("broken object: {0}")]
    Broken(#[from] serde_json::Error),
    /// The configuration is not usable.
    #[error("invalid configuration: {0}")]
    Config(&'static str),
    /// Work remains that only time or others can finish: retry with back-off.
    #[error("{0}")]
    Pending(String),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(status),
            kube::Error::SerdeError(error) => Self::Broken(error),
            other => Self::Unavailable(other),
        }
    }
}

impl Error {
    fn from_status(status: Box<Status>) -> Self {
        match (status.code, status.reason.as_str()) {
            (409, "AlreadyExists") => Self::AlreadyExists(status),
            (409, _) => Self::Conflict(status),
            (404, _) => Self::NotFound(status),
            (403, _) if names_termination(&status) => Self::Terminating(status),
            (429 | 500.., _) => Self::Unavailable(kube::Error::Api(status)),
            _ => Self::Rejected(status),
        }
    }

    /// Whether the object was missing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

fn names_termination(status: &Status) -> bool {
    let by_cause = |details: &kube::core::response::StatusDetails| {
        details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
    };
    status.details.as_ref().is_some_and(by_cause)
}
