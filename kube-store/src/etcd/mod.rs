//! The etcd v3 API: its messages, what they are in this crate's words, a server and a client.

#[cfg(feature = "etcd")]
mod encode;
mod r#gen;
#[cfg(feature = "server")]
pub(crate) mod server;
#[cfg(feature = "etcd")]
mod store;

#[cfg(feature = "server")]
pub use self::server::{
    EtcdServer, JsonWebTokens, Keepalive, Listener, Member, ServerConfig, SnapshotCheck, TokenKeyError,
    common_name,
};
#[cfg(feature = "etcd")]
pub use self::store::EtcdStore;
