//! A store replicated by Raft (feature `raft`): several members, each with a disk of its own, of which a minority may fail.
//!
//! Three members in one process:
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kube_store::Result<()> {
//! use kube_store::engine::LogEngine;
//! use kube_store::raft::{LocalNetwork, RaftConfig, RaftStore};
//! use kube_store::{Store, StoreExt};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! let network = LocalNetwork::default();
//! let mut members = Vec::new();
//! for id in 1..=3 {
//!     let engine = LogEngine::open(&dir.path().join(id.to_string())).unwrap();
//!     let member = RaftStore::open(engine, RaftConfig::member(id, 3), network.transport(id)).await?;
//!     network.attach(id, member.inbox());
//!     members.push(member);
//! }
//! let written = members[0].put("color", "green").await?;
//! let read = members[2].get("color").await?.unwrap();
//! assert_eq!((read.value.as_ref(), read.mod_revision), (b"green".as_ref(), written));
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`RaftStore`] is a member; it implements [`Store`](crate::Store). [`RaftConfig`] says which member it is.
//! - [`Transport`] carries opaque bytes between members; [`LocalNetwork`] does so within a process, `PeerNetwork` (with
//!   feature `server`) over gRPC.
//! - [`MemberChange`] changes who belongs to the group, [`RaftStatus`] tells how a member sees it.
//! - Private: `core` is a member as a value, run by `driver` and, under faults, by `testing::simulation`. `command` is what
//!   the log holds, `wire` what members send, `record` what is on the disk, `snapshot` and `transfer` how a member that is
//!   too far behind catches up.
//!
//! What differs from etcd: a keep-alive of a lease is replicated like a write, so it costs one, and survives a change of
//! leader. While a snapshot is sent, the leader keeps what a compaction would free. What does not: if a leader is removed from a
//! group of two and crashes before the other member knows, or is not heard by it any more, that member can decide nothing by itself
//! and has to be restored from a snapshot, as the documentation of etcd's Raft says of its own.

mod codec;
mod command;
mod config;
pub(crate) mod core;
#[cfg(any(test, feature = "testing"))]
mod decode;
mod driver;
mod log;
mod members;
#[cfg(feature = "server")]
mod peer;
mod read_lease;
mod reads;
mod record;
mod snapshot;
mod status;
mod store;
mod trace;
mod transfer;
mod transport;
mod txn_codec;
mod window;
mod wire;

pub use self::config::{RaftConfig, ReadMode, Start};
pub use self::members::{MemberChange, MemberInfo};
#[cfg(feature = "server")]
pub use self::peer::{PeerConfig, PeerMetrics, PeerNetwork, PeerServer, PeerTls, ask_for_members, found};
pub use self::status::{RaftStatus, Role};
pub use self::store::RaftStore;
pub use self::transport::{Inbox, LocalNetwork, Transport};

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::command::{Answer, Command};
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::decode::{decode_peer, decode_snapshot};
#[cfg(all(any(test, feature = "testing"), feature = "server"))]
pub(crate) use self::decode::{valid_frames, valid_snapshot};

#[cfg(test)]
mod tests;
