//! What has to be made durable.

use std::time::Duration;

use crate::{KeyValue, Revision};

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A version of a key, put or (version 0) deleted.
    Write {
        /// Which of the transaction's events it is.
        sub: u32,
        /// The version.
        kv: KeyValue,
    },
    /// A version is no longer needed.
    Drop {
        /// Its revision.
        revision: Revision,
        /// Which of the transaction's events it was.
        sub: u32,
    },
    /// History starts here now.
    Compact {
        /// Oldest readable revision.
        revision: Revision,
    },
    /// A lease exists.
    Grant {
        /// Its identifier.
        id: i64,
        /// Its time to live.
        ttl: Duration,
    },
    /// A lease is gone.
    Revoke {
        /// Its identifier.
        id: i64,
    },
}
