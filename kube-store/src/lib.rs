//! A versioned, watchable key-value store with etcd v3 semantics.
//!
//! It knows bytes and revisions and nothing of Kubernetes: objects, their encoding and their rules are the API server's.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kube_store::Result<()> {
//! use futures::StreamExt;
//! use kube_store::{Config, EmbeddedStore, Store, StoreExt, Swap, WatchRequest};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! let store = EmbeddedStore::open(dir.path(), Config::default()).await?;
//! let mut events = store.watch(WatchRequest::prefix("/pods/")).await?;
//! let created = store.put("/pods/web", "v1").await?;
//! store.put("/pods/web", "v2").await?;
//! assert_eq!(store.get("/pods/web").await?.unwrap().value, "v2");
//! assert!(matches!(store.create_if_absent("/pods/web", "v3").await?, Swap::Conflict(Some(kv)) if kv.version == 2));
//! assert_eq!(events.next().await.unwrap()?.revision, created);
//! # Ok(())
//! # }
//! ```
//!
//! # What to use
//! | for | take | feature |
//! |---|---|---|
//! | tests, and what may go with the process | [`MemoryStore`] | |
//! | a database in a program, on one machine | [`EmbeddedStore`], in a directory | |
//! | a database that outlives machines | `raft::RaftStore`, on three or five of them | `raft` |
//! | an etcd that is there already | `EtcdStore` | `etcd` |
//! | clients of etcd: `etcdctl`, a kube-apiserver | `EtcdServer`, in front of any of these | `server` |
//! | another way to put bytes on disks | an [`engine::Engine`] of your own, below `EmbeddedStore` or `RaftStore` | |
//! | another store altogether | an implementation of [`Store`], held against `testing::conformance` | `testing` |
//!
//! Write your program against `Arc<dyn Store>`, and it is the same with each of them: begin with the first, and change one line when
//! it has to last. Everything is held in memory too, so a store is for what fits there; answers cost no disk, and writes one sync
//! for all that wait together.
//!
//! # Map
//! - [`Store`] is the seam; [`StoreExt`] adds conveniences to every implementation. Requests and answers are plain values:
//!   [`RangeRequest`], [`TxnRequest`], [`WatchRequest`], [`LeaseRequest`].
//! - [`MemoryStore`] keeps nothing; [`EmbeddedStore`] keeps everything in a directory, or in any [`engine`].
//! - [`Config`] has the limits, [`Error`] what can go wrong by what to do about it.
//! - `EtcdStore` (feature `etcd`) keeps everything in an etcd cluster.
//! - `EtcdServer` (feature `server`) serves the etcd v3 API on any store, over gRPC and as JSON, for `etcdctl` and a stock kube-apiserver.
//! - `raft` (feature `raft`) replicates the store over several members.
//! - `testing` (feature `testing`) is the conformance suite that every implementation of the seam passes.
//! - `mvcc` (private) is the pure, synchronous core that all our stores share; `driver` runs it.

mod config;
mod driver;
mod embedded;
pub mod engine;
mod error;
#[cfg(any(feature = "etcd", feature = "server"))]
mod etcd;
mod ext;
mod key_value;
mod lease;
#[cfg(feature = "server")]
mod measure;
mod memory;
mod mvcc;
#[cfg(feature = "raft")]
pub mod raft;
mod range;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod txn;
mod watch;

pub use config::{AutoCompaction, Config};
pub use embedded::EmbeddedStore;
pub use error::{Error, InvalidRequest, Precondition, Result};
#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
#[cfg(feature = "server")]
pub use etcd::{
    EtcdServer, JsonWebTokens, Keepalive, Listener, Member, ServerConfig, SnapshotCheck, TokenKeyError,
    common_name,
};
pub use ext::{StoreExt, Swap};
pub use key_value::{KeyRange, KeyValue, Revision};
pub use lease::{LeaseRequest, LeaseResponse};
pub use memory::MemoryStore;
pub use range::{RangeContent, RangeRequest, RangeResponse, Sort, SortOrder, SortTarget};
pub use store::{Store, StoreStatus};
pub use txn::{
    Compare, CompareOp, CompareTarget, DeleteRequest, DeleteResponse, Op, OpResult, PutRequest, PutResponse,
    TxnRequest, TxnResponse,
};
pub use watch::{Event, EventFilter, EventKind, WatchProgress, WatchRequest, WatchResponse, WatchStream};
