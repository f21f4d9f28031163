//! The binaries of the roles, as processes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod devices;
mod scheduler;
mod server;
