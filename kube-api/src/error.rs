//! What can go wrong with a request, grouped by what the client can do about it.

use std::fmt;

use crate::field::FieldError;

/// Result of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The object a request was about, as messages name it: `deployments.apps "web"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Object name; empty for a whole collection.
    pub name: String,
}

impl Target {
    /// The object of this name.
    pub fn new(group: impl Into<String>, resource: impl Into<String>, name: impl Into<String>) -> Self {
        Self { group: group.into(), resource: resource.into(), name: name.into() }
    }

    /// `deployments.apps`.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.group_resource())?;
        if self.name.is_empty() { Ok(()) } else { write!(f, " {:?}", self.name) }
    }
}

/// Why a request was not answered as asked. The texts are the ones Kubernetes' clients know.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object does not exist.
    #[error("{0} not found")]
    NotFound(Target),
    /// There is no such resource.
    #[error("the server could not find the requested resource")]
    UnknownResource,
    /// There is an object of this name.
    #[error("{0} already exists")]
    AlreadyExists(Target),
    /// The object is not what the request expects: read it and try again.
    #[error("Operation cannot be fulfilled on {target}: {detail}")]
    Conflict {
        /// Which object.
        target: Target,
        /// What differs.
        detail: String,
    },
    /// The object breaks rules of its kind.
    #[error("{}", invalid(kind, group, name, errors))]
    Invalid {
        /// Kind of the object.
        kind: String,
        /// Its group.
        group: String,
        /// Its name.
        name: String,
        /// Which rules, field by field.
        errors: Vec<FieldError>,
    },
    /// The request does not make sense; repeating it does not help.
    #[error("{0}")]
    BadRequest(String),
    /// The client is not allowed to do this.
    #[error("{target} is forbidden: {detail}")]
    Forbidden {
        /// What it wanted.
        target: Target,
        /// Why not.
        detail: String,
        /// The namespace that is being deleted, when that is the reason.
        terminating: Option<String>,
    },
    /// A path that is no resource is not allowed.
    #[error("forbidden: User {user:?} cannot {verb} path {path:?}")]
    ForbiddenPath {
        /// Who.
        user: String,
        /// HTTP method in lower case.
        verb: String,
        /// The path.
        path: String,
    },
    /// It is not known who the client is.
    #[error("Unauthorized")]
    Unauthorized,
    /// The resource exists and cannot be asked for this.
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    /// The body is larger than the limit, in bytes.
    #[error("Request entity too large: limit is {0}")]
    TooLarge(usize),
    /// The body's content type is not understood.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// Nothing the client accepts can be produced.
    #[error("only the following media types are accepted: {0}")]
    NotAcceptable(String),
    /// The revision is too old: list again.
    #[error("{0}")]
    Expired(String),
    /// It took too long, or the revision does not exist yet.
    #[error("{message}")]
    Timeout {
        /// What was waited for.
        message: String,
        /// Seconds after which to try again.
        retry_after: u32,
        /// Whether the resourceVersion lies ahead.
        too_large_version: bool,
    },
    /// Too much at once: wait and repeat.
    #[error("{0}")]
    TooManyRequests(String),
    /// The store or a node cannot be reached now.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of the server.
    #[error("Internal error occurred: {0}")]
    Internal(String),
}

fn invalid(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> String {
    let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let mut lines: Vec<String> = Vec::new();
    for error in errors {
        let line = error.to_string();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    match lines.as_slice() {
        [one] => format!("{kind} {name:?} is invalid: {one}"),
        _ => format!("{kind} {name:?} is invalid: [{}]", lines.join(", ")),
    }
}

impl Error {
    pub(crate) fn bad_request(message: impl fmt::Display) -> Self {
        Self::BadRequest(message.to_string())
    }

    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        Self::Internal(message.to_string())
    }

    pub(crate) fn forbidden(target: Target, detail: impl fmt::Display) -> Self {
        Self::Forbidden { target, detail: detail.to_string(), terminating: None }
    }

    pub(crate) fn modified(target: Target) -> Self {
        let detail =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::Conflict { target, detail: detail.to_owned() }
    }
}

impl From<kube_store::Error> for Error {
    fn from(error: kube_store::Error) -> Self {
        use kube_store::Error as Store;
        match error {
            Store::Compacted { .. } => {
                Self::Expired("The resourceVersion for the provided list is too old.".to_owned())
            }
            Store::FutureRevision { requested, current } => Self::too_large_version(requested, current),
            Store::Invalid(kube_store::InvalidRequest::TooLarge { found, limit }) => {
                Self::BadRequest(format!("etcdserver: request is too large: {found} bytes, at most {limit}"))
            }
            Store::NoSpace { .. } | Store::NotLeader { .. } | Store::Unavailable { .. } => {
                Self::Unavailable(error.to_string())
            }
            other => Self::Internal(other.to_string()),
        }
    }
}

impl Error {
    pub(crate) fn too_large_version(requested: i64, current: i64) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        Self::Timeout { message, retry_after: 1, too_large_version: true }
    }
}
