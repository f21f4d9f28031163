//! The etcd v3 API: its messages, what they are in this crate's words, and a server.

mod convert;
mod r#gen;
mod server;
mod watch;

pub use self::server::{EtcdServer, Member};
