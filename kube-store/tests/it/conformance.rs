//! The suite of the seam, on every store of this crate.

use std::sync::Arc;

use kube_store::engine::MemoryEngine;
use kube_store::{
    Config, DeleteRequest, EmbeddedStore, EtcdServer, EtcdStore, KeyRange, LeaseRequest, LeaseResponse,
    Member, MemoryStore, Store, StoreExt, testing,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::peer::Etcd;

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
    let dirs = dirs();
    testing::conformance(async || EmbeddedStore::open(dirs(), Config::default()).await.unwrap()).await;
}

#[cfg(feature = "rocksdb")]
#[tokio::test(flavor = "multi_thread")]
async fn rocksdb() {
    let dirs = dirs();
    testing::conformance(async || EmbeddedStore::open_rocksdb(dirs(), Config::default()).await.unwrap())
        .await;
}

/// A new directory at each call; all go with what is returned.
fn dirs() -> impl Fn() -> std::path::PathBuf {
    let root = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    move || root.path().join(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_engine() {
    testing::conformance(async || {
        EmbeddedStore::with_engine(MemoryEngine::default(), Config::default()).await.unwrap()
    })
    .await;
}

/// The client on our own server: what the two make of a request is what it was.
#[tokio::test(flavor = "multi_thread")]
async fn over_the_wire() {
    testing::conformance(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = EtcdServer::new(Arc::new(MemoryStore::new()), Member::default());
        tokio::spawn(server.serve(listener, CancellationToken::new()));
        EtcdStore::connect(endpoint).await.unwrap()
    })
    .await;
}

/// A real etcd, emptied before each check.
#[tokio::test(flavor = "multi_thread")]
async fn real_etcd() {
    let Some(etcd) = Etcd::start().await else { return };
    let store = &etcd.store;
    testing::conformance(async || {
        store.delete_with(DeleteRequest::new(KeyRange::All)).await.unwrap();
        let LeaseResponse::Leases(ids) = store.lease(LeaseRequest::List).await.unwrap() else {
            panic!("no list")
        };
        for id in ids {
            store.lease(LeaseRequest::Revoke { id }).await.unwrap();
        }
        store.clone()
    })
    .await;
}
