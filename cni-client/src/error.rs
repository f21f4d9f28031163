use std::path::PathBuf;
use std::time::Duration;

/// The outcome of an operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed, grouped by what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration or a parameter is wrong: a person has to mend it.
    #[error("{message}")]
    Invalid {
        /// What is wrong, and where.
        message: String,
    },
    /// There is no network configuration: the node's network is not set up yet. Try again later.
    #[error("no network configuration in {dir}")]
    NotConfigured {
        /// The folder that was searched.
        dir: PathBuf,
    },
    /// A plugin of the list is not installed.
    #[error("failed to find plugin {plugin:?} in path {dirs:?}")]
    PluginMissing {
        /// The plugin's type.
        plugin: String,
        /// The folders searched.
        dirs: Vec<PathBuf>,
    },
    /// A plugin answered with an error of the specification's section 5.
    #[error("plugin {plugin} failed {command}: {message} (code {code})")]
    Plugin {
        /// The plugin's type.
        plugin: String,
        /// The operation.
        command: &'static str,
        /// The specification's error code; from 100 on the plugin's own. 11 asks to try again later.
        code: u32,
        /// The plugin's message and details.
        message: String,
    },
    /// A plugin ended without an answer of the specification's form.
    #[error("plugin {plugin} broke off {command}: {message}")]
    PluginBroken {
        /// The plugin's type.
        plugin: String,
        /// The operation.
        command: &'static str,
        /// How it ended and what it printed.
        message: String,
    },
    /// A plugin ran too long and was killed.
    #[error("plugin {plugin} did not finish {command} within {after:?}")]
    Deadline {
        /// The plugin's type.
        plugin: String,
        /// The operation.
        command: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// `CHECK` without a cached result: the attachment was never added, or already deleted.
    #[error("{container_id} has no result on network {network}")]
    NotAttached {
        /// The network's name.
        network: String,
        /// The container.
        container_id: String,
    },
    /// A file or process operation failed.
    #[error("{context}")]
    Io {
        /// What was being done.
        context: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the same operation can be expected to succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::NotConfigured { .. } | Self::Plugin { code: 11, .. })
    }

    pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source }
    }
}
