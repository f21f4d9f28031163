//! Reading the log files that runtimes write, in the CRI log format: `TIME STREAM TAG TEXT`, where `TAG` is `F` for the end of a line and
//! `P` for a part of one.
//!
//! [`send`] reads a file once or follows it, across rotations, until its container has ended; [`Query`] says which lines are wanted
//! and how they look. Lines without end are passed on in pieces, so memory stays bounded. `last_words` is what a container's status keeps
//! of it.

mod changes;
mod entry;
mod query;
mod send;
mod shaper;
mod tail;
mod words;

pub use query::Query;
pub use send::send;
pub(crate) use words::last_words;
