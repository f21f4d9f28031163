//! What time and limits do, with a clock that only moves when everyone sleeps.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube_store::{
    AutoCompaction, Config, DeleteRequest, Error, InvalidRequest, LeaseRequest, MemoryStore, PutRequest,
    RangeRequest, Store, StoreExt, TxnRequest, WatchRequest,
};
use tokio::time::{Instant, sleep};

fn store(config: Config) -> MemoryStore {
    MemoryStore::with_config(config).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_when_nobody_keeps_it_alive() {
    let store = MemoryStore::new();
    let ttl = Duration::from_secs(10);
    store.lease(LeaseRequest::Grant { id: 1, ttl }).await.unwrap();
    store.put_with(PutRequest::new("a", "1").with_lease(1)).await.unwrap();
    let start = Instant::now();
    let mut watch = store.watch(WatchRequest::key("a")).await.unwrap();
    for _ in 0..3 {
        sleep(Duration::from_secs(8)).await;
        store.lease(LeaseRequest::KeepAlive { id: 1 }).await.unwrap();
    }
    watch.next().await.unwrap().unwrap();
    let lived = start.elapsed();
    assert!(lived >= Duration::from_secs(34) && lived < Duration::from_secs(35), "{lived:?}");
    assert_eq!(store.status().await.unwrap().leases, 0);
}

#[tokio::test(start_paused = true)]
async fn history_is_forgotten_by_age() {
    let store =
        store(Config { auto_compaction: AutoCompaction::Age(Duration::from_secs(100)), ..Config::default() });
    let first = store.put("a", "1").await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let second = store.put("a", "2").await.unwrap();
    assert!(store.range(RangeRequest::key("a").at_revision(first)).await.is_ok());
    sleep(Duration::from_secs(60)).await;
    let compacted = store.status().await.unwrap().compacted;
    assert!(compacted >= first && compacted < second, "{compacted}");
    sleep(Duration::from_secs(300)).await;
    assert_eq!(store.status().await.unwrap().compacted, second);
    let bytes = store.status().await.unwrap().bytes;
    store.put("a", "3").await.unwrap();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(store.status().await.unwrap().bytes, bytes, "a key that changes for ever takes no more room");
}

#[tokio::test(start_paused = true)]
async fn a_store_at_rest_needs_no_timer() {
    let store = MemoryStore::new();
    let wait = async || {
        // A paused clock jumps to the next timer, if there is any, while all wait for something outside.
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let outside = std::thread::spawn(move || {
            let (_never, nothing) = std::sync::mpsc::channel::<()>();
            let _ = nothing.recv_timeout(Duration::from_millis(20));
            sender.send(()).unwrap();
        });
        let before = Instant::now();
        receiver.await.unwrap();
        outside.join().unwrap();
        before.elapsed()
    };
    assert_eq!(wait().await, Duration::ZERO, "nothing was ever written");
    store.put("a", "1").await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(wait().await, Duration::ZERO, "all history is compacted");
    store.put("a", "2").await.unwrap();
    assert_ne!(wait().await, Duration::ZERO, "there is history again");
}

#[tokio::test(start_paused = true)]
async fn history_is_forgotten_by_number() {
    let store = store(Config { auto_compaction: AutoCompaction::Revisions(100), ..Config::default() });
    for n in 0..1000 {
        store.put(format!("{}", n % 7), "x").await.unwrap();
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_secs(1)).await;
    let status = store.status().await.unwrap();
    let kept = status.revision - status.compacted;
    assert!((100..=112).contains(&kept), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_compaction_overtakes_is_cut() {
    let store = MemoryStore::new();
    let mut slow = store.watch(WatchRequest::key("a")).await.unwrap();
    let mut idle = store.watch(WatchRequest::key("b")).await.unwrap();
    for _ in 0..10 {
        store.put("a", "x").await.unwrap();
    }
    let last = store.revision().await.unwrap();
    store.compact(last).await.unwrap();
    let error = slow.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Compacted { compacted } if compacted == last), "{error}");
    assert!(slow.next().await.is_none());
    let revision = store.put("b", "x").await.unwrap();
    assert_eq!(
        idle.next().await.unwrap().unwrap().revision,
        revision,
        "one with nothing to read is not slow"
    );
    drop((slow, idle));
    assert_eq!(store.status().await.unwrap().watchers, 0);
}

#[tokio::test(start_paused = true)]
async fn progress_comes_by_itself_to_who_asked() {
    let store = store(Config { progress_interval: Duration::from_secs(5), ..Config::default() });
    let mut watch = store.watch(WatchRequest::key("a").with_progress()).await.unwrap();
    let revision = store.put("elsewhere", "x").await.unwrap();
    let start = Instant::now();
    for _ in 0..3 {
        let report = watch.next().await.unwrap().unwrap();
        assert_eq!((report.revision, report.events.len()), (revision, 0));
    }
    assert!(start.elapsed() < Duration::from_secs(16), "{:?}", start.elapsed());
}

/// A report of an earlier revision would lead its reader back in time.
#[tokio::test(start_paused = true)]
async fn a_watch_from_a_revision_ahead_reports_no_progress_before() {
    let store = store(Config { progress_interval: Duration::from_secs(5), ..Config::default() });
    let start = store.put("a", "x").await.unwrap() + 3;
    let request = WatchRequest::key("elsewhere").from_revision(start);
    let mut asks = store.watch(request.clone()).await.unwrap();
    let mut hears = store.watch(request.with_progress()).await.unwrap();
    asks.progress().request();
    sleep(Duration::from_secs(30)).await;
    assert!(asks.next().now_or_never().is_none() && hears.next().now_or_never().is_none());
    store.put("a", "x").await.unwrap();
    assert!(asks.next().now_or_never().is_none() && hears.next().now_or_never().is_none());
    let last = store.put("a", "x").await.unwrap();
    assert_eq!(last + 1, start, "everything before the start has happened");
    for watch in [&mut asks, &mut hears] {
        let report = watch.next().await.unwrap().unwrap();
        assert_eq!((report.revision, report.events.len()), (last, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn limits_hold() {
    let store =
        store(Config { max_request_bytes: 100, max_txn_ops: 3, quota_bytes: 2000, ..Config::default() });
    let error = store.put("a", vec![0; 100]).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(InvalidRequest::TooLarge { found: 101, limit: 100 })), "{error}");
    let many = (0..4).map(|n| PutRequest::new(format!("{n}"), "x").into());
    let error = store.txn(TxnRequest::of(many)).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(InvalidRequest::TooManyOps { found: 4, limit: 3 })), "{error}");
    let deep = (0..20).fold(TxnRequest::default(), |inner, _| TxnRequest::of([inner.into()]));
    let error = store.txn(deep).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(InvalidRequest::TooDeep { .. })), "{error}");
    let mut puts = 0;
    let error = loop {
        match store.put("k", vec![0; 90]).await {
            Ok(_) => puts += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::NoSpace { .. }) && puts > 2, "{error} after {puts}");
    // A put for which there is no space is refused, in an empty store too.
    let small = self::store(Config { quota_bytes: 1000, ..Config::default() });
    let error = small.put("k", vec![0; 1000]).await.unwrap_err();
    assert!(matches!(error, Error::NoSpace { used: 0, quota: 1000 }), "{error}");
    store.delete_with(DeleteRequest::key("k")).await.unwrap();
    let revision = store.revision().await.unwrap();
    store.compact(revision).await.unwrap();
    store.put("k", "1").await.unwrap();
}
