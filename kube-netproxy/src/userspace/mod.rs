//! A dataplane of sockets, for processes without privileges.
//!
//! A virtual address can be reached only if the kernel rewrites packets, which takes privileges. So every service port gets a
//! listener on the loopback interface instead, and [`Userspace::address_of`] says where. Addresses within 127.0.0.0/8 need no
//! configuration on Linux: a cluster whose service range lies there has working cluster IPs even so.

mod balancer;
mod dataplane;
mod tcp;
mod udp;

pub use dataplane::{Userspace, UserspaceConfig};
