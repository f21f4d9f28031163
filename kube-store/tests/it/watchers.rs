//! A watcher that is slow: it gets everything, and others do not wait for it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kube_store::{Revision, StoreExt};
use tonic::Streaming;
use tonic::transport::Channel;

use crate::front::get;
use crate::planted::{Planted, connect, serve};
use crate::wire::etcdserverpb as pb;
use pb::watch_client::WatchClient;

/// Events that are more than what any feed keeps, and their size.
const EVENTS: usize = 9000;
const SIZE: usize = 1000;

/// What may be on its way to a client that does not read: what its feed keeps, and what buffers hold.
const ON_ITS_WAY: u64 = 2000;

/// A watch of everything, on a stream of its own.
struct Watcher {
    responses: Streaming<pb::WatchResponse>,
    _requests: tokio::sync::mpsc::Sender<pb::WatchRequest>,
    /// Revisions of the events that came.
    seen: Vec<Revision>,
}

impl Watcher {
    async fn start(channel: &Channel) -> Self {
        let create = pb::WatchCreateRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
        let union = pb::watch_request::RequestUnion::CreateRequest(create);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        sender.send(pb::WatchRequest { request_union: Some(union) }).await.unwrap();
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut responses = WatchClient::new(channel.clone()).watch(requests).await.unwrap().into_inner();
        assert!(responses.message().await.unwrap().unwrap().created);
        Self { responses, _requests: sender, seen: Vec::new() }
    }

    async fn read(&mut self, events: usize) {
        while self.seen.len() < events {
            let response = self.responses.message().await.unwrap().unwrap();
            assert!(!response.canceled, "{response:?}");
            for event in &response.events {
                let revision = event.kv.as_ref().unwrap().mod_revision;
                // Every revision has one event here, so whoever waits for a lost one hears of it now.
                assert!(
                    self.seen.last().is_none_or(|last| *last + 1 == revision),
                    "{revision} comes too early"
                );
                self.seen.push(revision);
            }
        }
    }

    /// Everything came once and in order.
    fn has_all(&self, revisions: Range<Revision>) {
        assert!(self.seen.iter().copied().eq(revisions), "{:?}…", &self.seen[..20.min(self.seen.len())]);
    }
}

async fn metric(address: &str, name: &str) -> i64 {
    let (_, page) = get(address, "/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_falls_behind_gets_everything_and_holds_up_nobody() {
    let store = Arc::new(Planted::default());
    let address = serve(store.clone()).await;
    let (shared, other) = (connect(&address).await, connect(&address).await);
    let mut slow = Watcher::start(&shared).await;
    let mut beside = Watcher::start(&shared).await;
    let mut apart = Watcher::start(&other).await;
    assert_eq!(metric(&address, "etcd_debugging_mvcc_watcher_total").await, 3);
    let first = store.inner.revision().await.unwrap() + 1;
    let all = first..first + Revision::try_from(EVENTS).unwrap();
    for n in 0..EVENTS {
        store.inner.put(format!("k{}", n % 100), vec![0; SIZE]).await.unwrap();
        // The others go along, so that only one falls behind.
        if n % 100 == 99 {
            beside.read(n + 1).await;
            apart.read(n + 1).await;
        }
    }
    beside.has_all(all.clone());
    apart.has_all(all.clone());

    assert_eq!(store.taken.load(Ordering::Relaxed), 0, "nothing is fetched for one that does not read");
    // It has to hear of what the shared feed has dropped long ago.
    while metric(&address, "etcd_debugging_mvcc_slow_watcher_total").await == 0 {
        let next = slow.seen.len() + 1;
        slow.read(next).await;
        let ahead = store.taken.load(Ordering::Relaxed);
        assert!(ahead <= ON_ITS_WAY, "{ahead} responses for one that has read {}", slow.seen.len());
    }
    assert!(slow.seen.len() < EVENTS);
    for part in (slow.seen.len()..EVENTS).step_by(500) {
        slow.read(part).await;
        let ahead = store.taken.load(Ordering::Relaxed).saturating_sub(slow.seen.len() as u64);
        assert!(ahead <= ON_ITS_WAY, "{ahead} responses more than were read");
    }
    slow.read(EVENTS).await;
    slow.has_all(all.clone());

    // It shares a feed again, and goes on without a gap.
    while metric(&address, "etcd_debugging_mvcc_slow_watcher_total").await > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        store.inner.put("k", "last").await.unwrap();
    }
    for watcher in [&mut slow, &mut beside, &mut apart] {
        watcher.read(EVENTS + 10).await;
        watcher.has_all(first..all.end + 10);
    }
    assert_eq!(metric(&address, "etcd_debugging_mvcc_watcher_total").await, 3);
}

/// Writes go on while one falls behind, catches up and falls behind again, so that it changes feeds under load.
#[tokio::test(flavor = "multi_thread")]
async fn feeds_are_changed_under_load_without_loss() {
    let store = Arc::new(Planted::default());
    let address = serve(store.clone()).await;
    let channel = connect(&address).await;
    let (mut fast, mut slow) = (Watcher::start(&channel).await, Watcher::start(&channel).await);
    let first = store.inner.revision().await.unwrap() + 1;
    let mut written = 0;
    for _ in 0..3 {
        for _ in 0..6000 {
            store.inner.put("k", vec![0; SIZE]).await.unwrap();
            written += 1;
            if written % 100 == 0 {
                fast.read(written).await;
            }
        }
        let writing = {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..1000 {
                    store.inner.put("k", vec![0; SIZE]).await.unwrap();
                }
            })
        };
        written += 1000;
        tokio::join!(slow.read(written), fast.read(written));
        writing.await.unwrap();
    }
    let all = first..first + Revision::try_from(written).unwrap();
    slow.has_all(all.clone());
    fast.has_all(all);
}
