//! The seam between compiled rules and what carries them out.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Result, Ruleset};

/// What an application cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whether everything was built anew instead of the difference being applied.
    pub rebuilt: bool,
    /// Entries added.
    pub added: usize,
    /// Entries removed.
    pub removed: usize,
}

/// Carries out compiled rules.
///
/// # Contract
/// - [`apply`](Dataplane::apply) makes the dataplane equal to the ruleset: what the ruleset does not hold is gone afterwards,
///   also when it came from an earlier process. The implementation remembers what it applied and changes the difference
///   only ([`Ruleset::changes_since`] tells it cheaply).
/// - It is atomic: new connections see the state before or the state after, nothing between. Connections to endpoints that
///   both states hold are not disturbed.
/// - It is idempotent: applying the same ruleset twice changes nothing the second time.
/// - After an error the state is the one before, or nothing is known about it; the next call puts it right by rebuilding.
/// - Dropping the returned future is safe: either nothing or everything of it happens, and the next call puts it right.
/// - Calls do not overlap: an implementation serialises them.
/// - Rules stay in force when the value is dropped, as a proxy that restarts must not interrupt traffic, if the
///   implementation can do that at all; [`cleanup`](Dataplane::cleanup) removes every trace.
#[async_trait]
pub trait Dataplane: Debug + Send + Sync {
    /// Makes the dataplane equal to `ruleset`.
    ///
    /// # Errors
    /// [`crate::Error::Denied`] and [`crate::Error::Unsupported`] do not heal by trying again, all others may.
    async fn apply(&self, ruleset: &Ruleset) -> Result<Applied>;

    /// Removes everything that this dataplane, also an earlier process's, left behind.
    ///
    /// # Errors
    /// As for [`apply`](Dataplane::apply). That there is nothing to remove is not an error.
    async fn cleanup(&self) -> Result<()>;
}
