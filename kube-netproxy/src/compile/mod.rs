//! Services and EndpointSlices in, rules out: pure functions, no clock, no client, no root.

mod compiler;
mod endpoints;
mod service;

pub(crate) use compiler::key;
pub use compiler::{Compiler, compile};
pub use service::compile_service;

#[cfg(test)]
mod tests;
