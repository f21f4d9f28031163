//! The kernel's netlink protocol, as much of it as netfilter needs.
//!
//! A general netlink crate was tried first and rejected: it allocates several times per set element and cannot stream one
//! transaction of a hundred thousand of them; the encoding itself is small.

mod message;
mod socket;

pub(crate) use message::{Attributes, Batch, Header, flags};
pub(crate) use socket::Socket;
