//! What reaches the engine, when, and what happens when it does not.

use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube_store::engine::{Batch, Engine, Fault, LogEngine, MemoryEngine, Visit};
use kube_store::raft::{LocalNetwork, RaftConfig, RaftStore};
use kube_store::{
    Config, EmbeddedStore, Error, LeaseRequest, LeaseResponse, PutRequest, RangeRequest, Store, StoreExt,
    WatchRequest,
};
use tokio::sync::mpsc as async_mpsc;

async fn open(engine: impl Engine) -> EmbeddedStore {
    EmbeddedStore::with_engine(engine, Config::default()).await.unwrap()
}

/// Commits only when told.
#[derive(Debug)]
struct Gate {
    inner: MemoryEngine,
    entered: async_mpsc::UnboundedSender<()>,
    permits: mpsc::Receiver<()>,
}

impl Engine for Gate {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        self.inner.scan(prefix, visit)
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        self.entered.send(()).map_err(io::Error::other)?;
        self.permits.recv().map_err(io::Error::other)?;
        self.inner.commit(batch)
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn one_sync_serves_all_who_wait_and_nobody_sees_more() {
    let inner = MemoryEngine::default();
    let (entered, mut has_entered) = async_mpsc::unbounded_channel();
    let (permit, permits) = mpsc::channel();
    permit.send(()).unwrap();
    let store = open(Gate { inner: inner.clone(), entered, permits }).await;
    has_entered.recv().await.unwrap();
    let before = (store.revision().await.unwrap(), inner.commits());
    let mut watch = store.watch(WatchRequest::prefix("")).await.unwrap();

    let mut first = Box::pin(store.put("first", "x"));
    assert!((&mut first).now_or_never().is_none());
    has_entered.recv().await.unwrap();
    let mut rest: Vec<_> = (0..50).map(|n| Box::pin(store.put(format!("rest/{n:02}"), "x"))).collect();
    assert!(rest.iter_mut().all(|put| put.now_or_never().is_none()), "not acknowledged before it is durable");
    assert_eq!(store.get("first").await.unwrap(), None, "not readable before it is durable");
    assert!(watch.next().now_or_never().is_none(), "not reported before it is durable");
    assert_eq!(store.revision().await.unwrap(), before.0);

    permit.send(()).unwrap();
    assert_eq!(first.await.unwrap(), before.0 + 1);
    permit.send(()).unwrap();
    let revisions: Vec<_> = futures::future::join_all(rest).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(revisions, (before.0 + 2..before.0 + 52).collect::<Vec<_>>());
    assert_eq!(inner.commits(), before.1 + 2, "all that waited went in one batch");
    assert_eq!(watch.next().await.unwrap().unwrap().revision, before.0 + 1);
    drop(permit);
}

#[tokio::test]
async fn a_failed_commit_stops_all_writes_and_says_so() {
    for fault in [Fault::Before, Fault::After] {
        let engine = MemoryEngine::default();
        let store = open(engine.clone()).await;
        let good = store.put("good", "1").await.unwrap();
        let mut watch = store.watch(WatchRequest::prefix("")).await.unwrap();
        engine.break_with(fault);
        let error = store.put("bad", "1").await.unwrap_err();
        assert!(matches!(error, Error::Storage(_)), "{error}");
        engine.repair();
        let error = store.put("later", "1").await.unwrap_err();
        assert!(matches!(error, Error::Storage(_)), "no write is taken after a failure: {error}");
        let revoked =
            store.lease(LeaseRequest::Grant { id: 0, ttl: Duration::from_secs(9) }).await.unwrap_err();
        assert!(matches!(revoked, Error::Storage(_)), "{revoked}");
        let status = store.status().await.unwrap();
        assert_eq!(status.revision, good);
        assert!(matches!(status.failure, Some(Error::Storage(_))));
        assert_eq!(store.get("good").await.unwrap().unwrap().value, "1");
        assert_eq!(store.get("bad").await.unwrap(), None);
        assert!(watch.next().now_or_never().is_none());
        drop(store);
        let again = open(engine).await;
        assert_eq!(again.get("good").await.unwrap().unwrap().value, "1");
        assert_eq!(again.get("bad").await.unwrap().is_some(), fault == Fault::After);
        assert_eq!(again.get("later").await.unwrap(), None);
        again.put("works", "1").await.unwrap();
    }
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
    let busy = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap_err();
    assert!(matches!(busy, Error::Unavailable { .. }), "{busy}");
    let ttl = Duration::from_secs(3600);
    store.lease(LeaseRequest::Grant { id: 5, ttl }).await.unwrap();
    store.put_with(PutRequest::new("leased", "1").with_lease(5)).await.unwrap();
    let first = store.put("a", "1").await.unwrap();
    store.put("a", "2").await.unwrap();
    let deleted = store.delete("a").await.unwrap().revision;
    let last = store.put("b", vec![7; 100_000]).await.unwrap();
    store.compact(deleted).await.unwrap();
    drop(store);

    let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
    let status = store.status().await.unwrap();
    assert_eq!((status.revision, status.compacted, status.keys, status.leases), (last, deleted, 2, 1));
    assert!(status.bytes_on_disk > 100_000);
    assert_eq!(store.get("b").await.unwrap().unwrap().value, vec![7; 100_000]);
    let gone = store.range(RangeRequest::key("a").at_revision(first)).await.unwrap_err();
    assert!(matches!(gone, Error::Compacted { compacted } if compacted == deleted), "{gone}");
    let mut watch = store.watch(WatchRequest::prefix("").from_revision(deleted)).await.unwrap();
    for revision in [deleted, last] {
        let response = watch.next().await.unwrap().unwrap();
        assert_eq!((response.revision, response.events.len()), (revision, 1));
    }
    let lease = store.lease(LeaseRequest::TimeToLive { id: 5 }).await.unwrap();
    assert!(
        matches!(lease, LeaseResponse::TimeToLive { granted, keys, .. } if granted == ttl && keys == ["leased"])
    );
    assert_eq!(store.put("c", "1").await.unwrap(), last + 1);
    store.lease(LeaseRequest::Revoke { id: 5 }).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
    assert_eq!(store.status().await.unwrap().leases, 0);
    assert_eq!(store.get("leased").await.unwrap(), None);
}

#[tokio::test]
async fn compaction_frees_the_engine_too() {
    let engine = MemoryEngine::default();
    let store = open(engine.clone()).await;
    for n in 0..50 {
        store.put(format!("{}", n % 3), "x").await.unwrap();
        store.delete("2").await.unwrap();
    }
    let last = store.put("0", "x").await.unwrap();
    store.compact(last).await.unwrap();
    // Two keys, the format and the compacted revision.
    assert_eq!(engine.entries(), 4);
    drop(store);
    assert_eq!(open(engine).await.list("").await.unwrap().kvs.len(), 2);
}

/// What is left of a lease is noted, and what is noted is gone once the lease was kept alive.
#[tokio::test]
async fn checkpoints_of_leases_are_durable() {
    const HOUR: Duration = Duration::from_secs(3600);
    let engine = MemoryEngine::default();
    let config = || Config { lease_checkpoints: Some(Duration::from_secs(300)), ..Config::default() };
    let store = EmbeddedStore::with_engine(engine.clone(), config()).await.unwrap();
    for id in [1, 2] {
        store.lease(LeaseRequest::Grant { id, ttl: HOUR }).await.unwrap();
    }
    let before = engine.commits();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1800)).await;
    tokio::time::resume();
    while engine.commits() == before {
        tokio::task::yield_now().await;
    }
    store.lease(LeaseRequest::KeepAlive { id: 2 }).await.unwrap();
    drop(store);
    let store = EmbeddedStore::with_engine(engine, config()).await.unwrap();
    for (id, most, least) in [(1, HOUR / 2, HOUR * 4 / 10), (2, HOUR, HOUR * 9 / 10)] {
        let asked = store.lease(LeaseRequest::TimeToLive { id }).await.unwrap();
        let LeaseResponse::TimeToLive { granted, remaining, .. } = asked else { panic!("no lease") };
        assert_eq!(granted, HOUR);
        assert!((least..=most).contains(&remaining), "{id}: {remaining:?}");
    }
}

/// Of a store alone, and of a member of a group.
async fn gives_back_space(store: Arc<dyn Store>) {
    for n in 0..300 {
        store.put(format!("{}", n % 10), vec![b'x'; 20_000]).await.unwrap();
    }
    let delete = kube_store::DeleteRequest::new(kube_store::KeyRange::From("1".into()));
    let last = store.txn(kube_store::TxnRequest::of([delete.into()])).await.unwrap().revision;
    store.compact(last).await.unwrap();
    let before = store.status().await.unwrap();
    assert!(before.bytes_on_disk > 1_000_000, "{before:?}");
    let writing = async {
        for n in 0..20 {
            store.put(format!("meanwhile/{n}"), "").await.unwrap();
        }
    };
    let (given, ()) = tokio::join!(store.defragment(), writing);
    given.unwrap();
    // It is done, so there is nothing more to do.
    store.defragment().await.unwrap();
    let after = store.status().await.unwrap();
    assert!(after.bytes_on_disk < before.bytes_on_disk / 4, "{after:?} after {before:?}");
    assert_eq!(store.get("0").await.unwrap().unwrap().value.len(), 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn defragmenting_gives_back_space() {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config { auto_compaction: kube_store::AutoCompaction::Off, ..Config::default() };
    let store = EmbeddedStore::open(dir.path().join("alone"), config()).await.unwrap();
    gives_back_space(Arc::new(store)).await;
    let store = EmbeddedStore::open(dir.path().join("alone"), config()).await.unwrap();
    assert_eq!(store.list("meanwhile/").await.unwrap().kvs.len(), 20);
    let engine = LogEngine::open(&dir.path().join("member")).unwrap();
    let config = RaftConfig { store: config(), keep_entries: 10, ..RaftConfig::single() };
    let member = RaftStore::open(engine, config, LocalNetwork::default().transport(1)).await.unwrap();
    gives_back_space(Arc::new(member)).await;
}

#[tokio::test]
async fn foreign_data_is_refused() {
    let mut engine = MemoryEngine::default();
    let mut batch = Batch::default();
    batch.put(b"v-nonsense", |value| value.push(1));
    engine.commit(&batch).unwrap();
    let error = EmbeddedStore::with_engine(engine, Config::default()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn watches_end_with_their_store() {
    let store = Arc::new(open(MemoryEngine::default()).await);
    let mut watch = store.watch(WatchRequest::prefix("")).await.unwrap();
    let revision = store.put("a", "1").await.unwrap();
    drop(store);
    assert_eq!(watch.next().await.unwrap().unwrap().revision, revision);
    assert!(matches!(watch.next().await, Some(Err(Error::Unavailable { .. }))));
    assert!(watch.next().await.is_none());
}

/// Panics at its second commit; the first makes the store.
#[derive(Debug)]
struct Broken(MemoryEngine, u32);

impl Engine for Broken {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        self.0.scan(prefix, visit)
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        self.1 += 1;
        assert!(self.1 < 2, "this engine is broken");
        self.0.commit(batch)
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn nobody_waits_for_an_engine_that_panicked() {
    let store = open(Broken(MemoryEngine::default(), 0)).await;
    assert!(store.put("k", "1").await.is_err());
    assert!(store.put("k", "2").await.is_err());
}

/// The same on RocksDB, alone and as a member of a group.
#[cfg(feature = "rocksdb")]
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_opening_rocksdb_again() {
    use kube_store::engine::RocksDbEngine;
    use kube_store::raft::{LocalNetwork, RaftConfig, RaftStore};
    let dir = tempfile::tempdir().unwrap();
    let (alone, member) = (dir.path().join("alone"), dir.path().join("member"));
    for n in 0..3 {
        let store = EmbeddedStore::open_rocksdb(&alone, Config::default()).await.unwrap();
        assert_eq!(store.get("n").await.unwrap().map_or(0, |kv| kv.version), n);
        store.put("n", n.to_string()).await.unwrap();
        assert!(EmbeddedStore::open_rocksdb(&alone, Config::default()).await.is_err(), "it is locked");
        drop(store);

        let network = LocalNetwork::default();
        let engine = RocksDbEngine::open(&member).unwrap();
        let store = RaftStore::open(engine, RaftConfig::member(1, 1), network.transport(1)).await.unwrap();
        network.attach(1, store.inbox());
        store.wait_for(|status| status.leader.is_some()).await.unwrap();
        assert_eq!(store.get("n").await.unwrap().map_or(0, |kv| kv.version), n);
        store.put("n", n.to_string()).await.unwrap();
        store.close().await;
    }
}
