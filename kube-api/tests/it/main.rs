//! The server as its clients see it: kube-rs in process, and raw requests.

mod bad_input;
mod client;
mod kubectl;
mod raw;
mod semantics;
mod watch;
