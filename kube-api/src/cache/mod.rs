//! The watch cache of one kind.
//!
//! A task follows the store; objects are kept in the order of their keys as the bytes that clients read, with a small index;
//! recent changes are kept in a ring with a budget in bytes, so that a watch can start in the past. Watchers share the
//! bytes. A watcher that does not read is cut when its queue is full; it is never waited for.

mod driver;
mod entry;
mod pick;
mod state;
mod watcher;

#[cfg(test)]
mod tests;

pub(crate) use driver::Cache;
pub(crate) use entry::{ChangeKind, Entry, Filter};
pub(crate) use state::Start;
pub(crate) use watcher::{Delivery, Watcher};
