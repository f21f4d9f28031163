//! What can go wrong, grouped by what the caller can do about it.

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of the node did not succeed. A variant tells the caller how to react; the text is for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The thing does not exist (any more). For stopping and removing this counts as success.
    #[error("{kind} {name:?} not found")]
    NotFound {
        /// What kind of thing: `container`, `sandbox`, `image`, `secret`, ...
        kind: &'static str,
        /// Its id or name.
        name: String,
    },
    /// The thing exists in a state that does not allow the operation, e.g. starting an exited container. Look again, then decide.
    #[error("{0}")]
    Conflict(String),
    /// The request can never succeed as it stands; only a changed spec helps.
    #[error("{0}")]
    Invalid(String),
    /// This implementation cannot do that at all; trying again is pointless.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// The attempt was made and failed for a reason of the workload (command not found, image unpullable, device missing). Try again with back-off.
    #[error("{0}")]
    Failed(String),
    /// The other side cannot be reached or is not ready yet. Try again soon; nothing has happened.
    #[error("{what} is unavailable: {reason}")]
    Unavailable {
        /// Who cannot be reached.
        what: &'static str,
        /// Why, as far as is known.
        reason: String,
    },
    /// The time that was allowed has passed. The operation may still complete.
    #[error("{0}: deadline exceeded")]
    Deadline(String),
    /// The Kubernetes API refused or could not be reached.
    #[error("{0}")]
    Api(#[source] Box<kube::Error>),
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// A [`Error::NotFound`] for `kind` called `name`.
    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { kind, name: name.into() }
    }

    /// Wraps an I/O error with what was being done, for `map_err`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Whether the thing asked for is not there.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Api(e) => matches!(&**e, kube::Error::Api(s) if s.code == 404),
            _ => false,
        }
    }
}

impl From<kube::Error> for Error {
    fn from(e: kube::Error) -> Self {
        Self::Api(Box::new(e))
    }
}
