//! A watcher that is slow: it gets everything, and others do not wait for it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kube_store::{DeleteRequest, PutRequest, Revision, Store, StoreExt, TxnRequest};
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

/// The responses to a watch from a revision on, up to the one that has the last event.
async fn caught_up(
    channel: &Channel,
    create: pb::WatchCreateRequest,
    last: Revision,
) -> Vec<pb::WatchResponse> {
    let union = pb::watch_request::RequestUnion::CreateRequest(create);
    let request = pb::WatchRequest { request_union: Some(union) };
    let requests = futures::StreamExt::chain(futures::stream::iter([request]), futures::stream::pending());
    let mut client = WatchClient::new(channel.clone()).max_decoding_message_size(64 << 20);
    let mut responses = client.watch(requests).await.unwrap().into_inner();
    assert!(responses.message().await.unwrap().unwrap().created);
    let mut all = Vec::new();
    loop {
        let response = responses.message().await.unwrap().unwrap();
        let is_last = response.events.last().is_some_and(|event| revision_of(event) == last);
        all.push(response);
        if is_last {
            return all;
        }
    }
}

fn revision_of(event: &pb::Event) -> Revision {
    event.kv.as_ref().unwrap().mod_revision
}

/// A watch of the keys that begin with a `k`.
fn keys_from(start_revision: Revision) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: "k".into(), range_end: "l".into(), start_revision, ..Default::default() }
}

/// As etcd: a thousand revisions come in one response, and all events of a revision in the same.
#[tokio::test]
async fn the_past_comes_in_few_responses() {
    let store = Arc::new(Planted::default());
    let channel = connect(&serve(store.clone()).await).await;
    let first = store.inner.revision().await.unwrap() + 1;
    for n in 0..1250 {
        let both = [PutRequest::new("k/a", format!("{n}")).into(), DeleteRequest::key("k/b").into()];
        store.inner.txn(TxnRequest::of(both)).await.unwrap();
        store.inner.put("k/b", "").await.unwrap();
        store.inner.put("other", "").await.unwrap();
    }
    let last = first + 3 * 1250 - 2;
    let create = keys_from(first);
    let all = caught_up(&channel, create.clone(), last).await;
    let shape: Vec<_> = all.iter().map(|response| (response.events.len(), response.fragment)).collect();
    // The first transaction deletes nothing.
    assert_eq!(shape, [(1499, false), (1500, false), (750, false)]);
    for response in &all {
        let newest = response.events.last().map_or(0, revision_of);
        assert_eq!(response.header.unwrap().revision, newest);
        assert!(response.events.is_sorted_by_key(revision_of));
    }
    let total: usize = all.iter().map(|response| response.events.len()).sum();
    assert_eq!(total, 2 * 1250 + 1249);
    // One that begins amid gets what is left.
    let create = pb::WatchCreateRequest { start_revision: last - 2, ..create };
    let all = caught_up(&channel, create, last).await;
    assert_eq!(all.iter().map(|response| response.events.len()).collect::<Vec<_>>(), [3]);
}

/// As etcd: a large response is cut where the client asked for that, and nowhere else but between revisions.
#[tokio::test]
async fn a_large_past_comes_in_fragments_to_who_wants_them() {
    let store = Arc::new(Planted::default());
    let channel = connect(&serve(store.clone()).await).await;
    let first = store.inner.revision().await.unwrap() + 1;
    for n in 0..20 {
        store.inner.put(format!("k/{n}"), vec![b'x'; 1 << 20]).await.unwrap();
    }
    let create = keys_from(first);
    let whole = caught_up(&channel, create.clone(), first + 19).await;
    let shape: Vec<_> = whole.iter().map(|response| (response.events.len(), response.fragment)).collect();
    assert_eq!(shape, [(16, false), (4, false)]);
    let parts = caught_up(&channel, pb::WatchCreateRequest { fragment: true, ..create }, first + 19).await;
    assert!(parts.iter().all(|part| part.events.len() == 1), "two are more than 2 MiB");
    let more: Vec<_> = parts.iter().map(|part| part.fragment).collect();
    assert_eq!(more, [[true; 15].as_slice(), &[false], &[true; 3], &[false]].concat());
}

/// Only who has yet to read what is not new is slow.
#[tokio::test]
async fn who_has_read_the_past_is_not_slow() {
    let store = Arc::new(Planted::default());
    let address = serve(store.clone()).await;
    let channel = connect(&address).await;
    let first = store.inner.revision().await.unwrap() + 1;
    for _ in 0..10 {
        store.inner.put("k", "").await.unwrap();
    }
    let create =
        |start_revision| pb::WatchCreateRequest { key: "k".into(), start_revision, ..Default::default() };
    let mut streams = Vec::new();
    for start in [first, first + 1000] {
        let union = pb::watch_request::RequestUnion::CreateRequest(create(start));
        let request = pb::WatchRequest { request_union: Some(union) };
        let requests =
            futures::StreamExt::chain(futures::stream::iter([request]), futures::stream::pending());
        let mut responses = WatchClient::new(channel.clone()).watch(requests).await.unwrap().into_inner();
        assert!(responses.message().await.unwrap().unwrap().created);
        streams.push(responses);
    }
    assert_eq!(streams[0].message().await.unwrap().unwrap().events.len(), 10);
    while metric(&address, "etcd_debugging_mvcc_slow_watcher_total").await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(metric(&address, "etcd_debugging_mvcc_watcher_total").await, 2);
    let of_watches = "{grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_stream\"}";
    assert_eq!(metric(&address, &format!("grpc_server_msg_received_total{of_watches}")).await, 2);
    assert_eq!(metric(&address, &format!("grpc_server_msg_sent_total{of_watches}")).await, 3);
}

/// Messages of streams are counted, those that are not watches too.
#[tokio::test]
async fn messages_of_streams_are_counted() {
    let store = Arc::new(Planted::default());
    let address = serve(store).await;
    let channel = connect(&address).await;
    let mut leases = pb::lease_client::LeaseClient::new(channel.clone());
    let requests = futures::stream::iter((1..=3).map(|id| pb::LeaseKeepAliveRequest { id }));
    let mut answers = leases.lease_keep_alive(requests).await.unwrap().into_inner();
    for _ in 0..3 {
        answers.message().await.unwrap().unwrap();
    }
    let mut maintenance = pb::maintenance_client::MaintenanceClient::new(channel);
    let mut parts = maintenance.snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
    let mut count = 0;
    while parts.message().await.unwrap().is_some() {
        count += 1;
    }
    let labels = |method: &str, service: &str, kind: &str| {
        format!("{{grpc_method=\"{method}\",grpc_service=\"etcdserverpb.{service}\",grpc_type=\"{kind}\"}}")
    };
    let keep_alive = labels("LeaseKeepAlive", "Lease", "bidi_stream");
    let snapshot = labels("Snapshot", "Maintenance", "server_stream");
    for (name, wanted) in [
        (format!("grpc_server_msg_received_total{keep_alive}"), 3),
        (format!("grpc_server_msg_sent_total{keep_alive}"), 3),
        (format!("grpc_server_msg_received_total{snapshot}"), 1),
        (format!("grpc_server_msg_sent_total{snapshot}"), count),
    ] {
        assert_eq!(metric(&address, &name).await, wanted, "{name}");
    }
}
