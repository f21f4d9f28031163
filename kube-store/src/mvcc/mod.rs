//! The store as a value: every key with its kept history, the log of events, leases. Pure and synchronous; drivers hold it
//! under a lock, make its changes durable and wake watchers.
//!
//! Three revisions matter. `head` is the newest applied transaction, on which the next one is evaluated; `visible` is the
//! newest durable one, and all that readers and watchers see; `compacted` is where history starts. Because old versions are
//! kept anyway, reading at `visible` while `head` runs ahead costs nothing, and syncing one batch overlaps with evaluating
//! the next.

mod apply;
mod check;
mod compact;
#[cfg(feature = "raft")]
mod dump;
mod history;
mod lease;
mod load;
mod log;
mod places;
mod record;
mod scan;
mod side;
mod state;

pub(crate) use check::{check_range, check_txn, check_watch};
#[cfg(feature = "raft")]
pub(crate) use dump::Dump;
#[cfg(feature = "raft")]
pub(crate) use load::Loader;
pub(crate) use places::Places;
pub(crate) use record::Change;
#[cfg(any(test, feature = "testing"))]
pub(crate) use record::checksum;
pub(crate) use scan::{Counts, Scan};
pub(crate) use state::State;

#[cfg(test)]
mod tests;
