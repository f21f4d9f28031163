//! The conformance suite of the seam, for everyone who implements it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use kube_store::{MemoryStore, testing};
//!
//! testing::conformance(async || MemoryStore::new()).await;
//! # }
//! ```
#![expect(clippy::unwrap_used, reason = "a suite reports by panicking")]

pub mod decoders;
mod history;
mod leases;
mod ranges;
#[cfg(feature = "raft")]
pub mod simulation;
mod txns;
mod watches;

use futures::StreamExt;

use crate::{KeyValue, Store, WatchResponse, WatchStream};

/// Keys and values of each bucket, in order.
#[cfg(feature = "server")]
pub type SnapshotEntries = std::collections::BTreeMap<Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>>;

/// Every entry of an etcd snapshot: to compare two of them.
///
/// # Errors
/// Those of the file, and [`Error::Corrupt`](crate::Error) for one that is no snapshot.
#[cfg(feature = "server")]
pub fn snapshot_entries(snapshot: &std::path::Path) -> crate::Result<SnapshotEntries> {
    crate::etcd::server::entries(snapshot)
}

/// Runs every check, each on a store of its own from `make`, which must be empty. Panics at the first deviation.
pub async fn conformance<S: Store>(make: impl AsyncFn() -> S) {
    ranges::counters_follow_a_key(&make().await).await;
    ranges::selects_what_is_asked(&make().await).await;
    ranges::pages_are_one_snapshot(&make().await).await;
    txns::all_or_nothing_in_one_revision(&make().await).await;
    txns::conditions_choose_the_list(&make().await).await;
    txns::conditions_on_ranges(&make().await).await;
    txns::a_key_is_changed_once(&make().await).await;
    txns::keeps_value_or_lease(&make().await).await;
    txns::compare_and_swap_loses_no_update(make().await).await;
    history::old_revisions_stay_until_compacted(&make().await).await;
    history::compaction_names_its_revision(&make().await).await;
    watches::reports_in_order(&make().await).await;
    watches::starts_where_told(&make().await).await;
    watches::one_revision_is_one_response(&make().await).await;
    watches::filters(&make().await).await;
    watches::progress_follows_everything_before(&make().await).await;
    watches::loses_nothing_under_load(make().await).await;
    leases::keys_go_with_their_lease(&make().await).await;
    leases::rebinding_moves_a_key(&make().await).await;
    leases::are_kept_alive_and_listed(&make().await).await;
    leases::expire(&make().await).await;
}

/// The next response with events.
async fn next(stream: &mut WatchStream) -> WatchResponse {
    loop {
        let response = stream.next().await.expect("the watch goes on").unwrap();
        if !response.events.is_empty() {
            return response;
        }
    }
}

/// Keys as text.
fn keys(kvs: &[KeyValue]) -> Vec<String> {
    kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
}
