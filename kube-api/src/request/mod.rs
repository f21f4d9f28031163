//! What a request asks for: its address, its parameters and what it accepts.

mod accept;
mod info;
mod query;

#[cfg(test)]
mod tests;

pub use info::{RequestInfo, Verb};

pub(crate) use accept::{Accept, Form};
pub(crate) use query::{DeleteOptions, ListOptions, Query, VersionMatch, WriteOptions};
