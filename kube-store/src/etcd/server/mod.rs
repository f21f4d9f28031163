//! The server. Each service of etcd has a file of its own; what they share is in `etcd_server`.

mod alarm;
mod auth;
mod authority;
mod bolt;
mod certified;
mod check;
mod checksum;
mod cluster;
mod convert;
#[cfg(any(test, feature = "testing"))]
mod decode;
mod election;
mod etcd_server;
mod front;
mod gateway;
mod group;
mod health;
mod history;
mod kv;
mod lease;
mod listen;
mod lock;
mod maintenance;
mod metrics;
mod pages;
mod plain;
mod queue;
mod restore;
mod rpc;
mod watch;

pub use self::auth::{JsonWebTokens, TokenKeyError};
pub use self::certified::common_name;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::decode::{decode_requests, decode_token};
#[cfg(all(any(test, feature = "testing"), feature = "raft"))]
pub(crate) use self::decode::{valid_requests, valid_snapshot, valid_token};
pub use self::etcd_server::{EtcdServer, Member, ServerConfig};
#[cfg(feature = "raft")]
pub(crate) use self::listen::{Io, Terms, connections};
pub use self::listen::{Keepalive, Listener};
pub use self::restore::SnapshotCheck;
pub(crate) use self::restore::restore;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::restore::{entries, fill};
