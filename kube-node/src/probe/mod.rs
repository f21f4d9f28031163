//! Probes and lifecycle handlers of containers.

mod action;
mod counter;
mod grpc;
mod task;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use action::Target;
pub(crate) use counter::Counter;
pub(crate) use task::{Prober, Probing, Verdict, VerdictKind};
