//! What a pod worker decides, as functions from values to values: no I/O, no clock, no client.
//!
//! [`plan`](plan::plan) says what to do next for one pod, [`status`](status::compute) what to tell the API server.

pub(crate) mod backoff;
pub(crate) mod conditions;
pub(crate) mod config;
pub(crate) mod expand;
pub(crate) mod fields;
pub(crate) mod mirror;
pub(crate) mod names;
pub(crate) mod observed;
pub(crate) mod phase;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod quantity;
pub(crate) mod resources;
pub(crate) mod security;
pub(crate) mod spec;
pub(crate) mod status;
#[cfg(test)]
mod tests;
