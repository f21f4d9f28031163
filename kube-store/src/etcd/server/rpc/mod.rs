//! HTTP/2 connections, served with as little as gRPC needs.
//!
//! A general server costs several times what a transaction itself does: a task for each request, a router, bodies behind pointers.
//! Here one task serves a connection with all its calls. So whatever one commit answers is written to the connection at once, and
//! the calls that matter go from bytes to the store and back without stopping in between. All other calls, and what is not gRPC,
//! are handed to the general server's services.

mod batched;
mod bridge;
mod connection;
mod deadline;
mod messages;
mod output;
mod page;
mod unary;

pub(super) use self::connection::{Respond, serve};
pub(super) use self::deadline::{exceeded, limit, passed};
pub(super) use self::messages::{Messages, PREFIX, too_large};
pub(super) use self::output::{Gone, Output, refuse};
