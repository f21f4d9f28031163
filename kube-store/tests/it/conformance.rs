//! The suite of the seam, on every store of this crate.

use std::sync::Arc;

use kube_store::engine::MemoryEngine;
use kube_store::{Config, EmbeddedStore, MemoryStore, Store, testing};

#[tokio::test(start_paused = true)]
async fn memory() {
    testing::conformance(async || MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_on_threads() {
    testing::conformance(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let root = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    testing::conformance(async || {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        EmbeddedStore::open(root.path().join(n.to_string()), Config::default()).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_engine() {
    testing::conformance(async || {
        EmbeddedStore::with_engine(MemoryEngine::default(), Config::default()).await.unwrap()
    })
    .await;
}
