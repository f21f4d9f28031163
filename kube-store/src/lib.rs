//! A versioned, watchable key-value store with etcd v3 semantics.
//!
//! It knows bytes and revisions and nothing of Kubernetes: objects, their encoding and their rules are the API server's.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kube_store::Result<()> {
//! use futures::StreamExt;
//! use kube_store::{MemoryStore, Store, StoreExt, Swap, WatchRequest};
//!
//! let store = MemoryStore::new();
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
//! # Map
//! - [`Store`] is the seam; [`StoreExt`] adds conveniences to every implementation. Requests and answers are plain values:
//!   [`RangeRequest`], [`TxnRequest`], [`WatchRequest`], [`LeaseRequest`].
//! - [`MemoryStore`] keeps nothing.
//! - [`Config`] has the limits, [`Error`] what can go wrong by what to do about it.
//! - `mvcc` (private) is the pure, synchronous core that all our stores share; `driver` runs it.

mod config;
mod driver;
mod error;
mod ext;
mod key_value;
mod lease;
mod memory;
#[expect(dead_code, reason = "the durable driver takes changes")]
mod mvcc;
mod range;
mod store;
mod txn;
mod watch;

pub use config::{AutoCompaction, Config};
pub use error::{Error, InvalidRequest, Precondition, Result};
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
