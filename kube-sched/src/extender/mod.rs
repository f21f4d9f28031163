//! Extenders: somebody else's say in scheduling, over HTTP, with the messages of `k8s.io/kube-scheduler/extender/v1`.
//!
//! An extender is asked after the plugins: which of the feasible nodes remain, what they are worth, which preemption is
//! right, and it may bind pods itself. The scheduling loop waits for its answers, so it slows down every pod that it is
//! interested in; a plugin does not.

mod client;
mod config;
mod wire;

#[cfg(test)]
mod tests;

pub use client::Extender;
pub use config::{ExtenderConfig, ExtenderTls};
pub(crate) use wire::{Offer, Victims};
