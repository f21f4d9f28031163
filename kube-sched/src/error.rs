//! What can go wrong outside a decision.

use crate::complaint::{Complaint, join};

/// Errors of this crate, grouped by what the caller can do about them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration contradicts itself; fix it and start again.
    #[error("invalid configuration: {0}")]
    Config(String),
    /// A profile or configuration names a plugin that the registry does not have.
    #[error("no plugin named {0:?} is registered")]
    UnknownPlugin(String),
    /// A plugin rejected its arguments.
    #[error("invalid arguments for plugin {plugin}: {}", join(complaints))]
    PluginArgs {
        /// The plugin's name.
        plugin: String,
        /// What is wrong with the arguments; fields are named from there.
        complaints: Vec<Complaint>,
    },
    /// A document is not well-formed: a configuration, or an object that an extender or a benchmark is to read.
    #[error("cannot decode a document")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A quantity such as `100m` or `1Gi` is malformed; the object that holds it is at fault.
    #[error("invalid quantity {0:?}")]
    Quantity(String),
    /// The object exists no more; drop the work.
    #[error("{0} is gone")]
    Gone(String),
    /// Somebody else changed the object first; look again and retry.
    #[error("conflict on {0}")]
    Conflict(String),
    /// A permit plugin refused the pod after its node was chosen; retry later.
    #[error("plugin {plugin} refused the pod: {reason}")]
    Refused {
        /// The plugin's name.
        plugin: &'static str,
        /// Its reason.
        reason: String,
    },
    /// The pod's volumes are not ready, and will not be soon; the pod is scheduled again later.
    #[error("binding volumes: {0}")]
    Volumes(String),
    /// A claim for devices is not as it was when the node was chosen; the pod is scheduled again later.
    #[error("{0}")]
    Claims(String),
    /// A plugin panicked while its pod was bound; the pod is retried, the plugin has to be mended.
    #[error("a plugin panicked: {0}")]
    Panicked(String),
    /// An extender did not answer as hoped; retry later.
    #[error("extender {url}: {reason}")]
    Extender {
        /// Where it is.
        url: String,
        /// What it said, or why it said nothing.
        reason: String,
    },
    /// The API server did not answer as hoped; retry later.
    #[error("the API server did not accept the request")]
    Api(#[source] Box<kube::Error>),
}

impl Error {
    /// Sorts a client error about the object called `what` into [`Error::Gone`], [`Error::Conflict`] or [`Error::Api`].
    pub(crate) fn from_api(what: &str, error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 404 => Self::Gone(what.to_owned()),
            kube::Error::Api(status) if status.code == 409 => Self::Conflict(what.to_owned()),
            _ => Self::Api(Box::new(error)),
        }
    }
}
