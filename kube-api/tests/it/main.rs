//! The server as its clients see it: kube-rs in process, and raw requests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod client;
mod identity;
mod kubectl;
mod raw;
mod runtime_class;
mod scheduling;
mod semantics;
mod watch;
