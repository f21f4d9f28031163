//! Clients that write all the time, one that watches, and what all of them saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube_store::{EtcdStore, KeyRange, Revision, Store, StoreExt, WatchRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cluster::PATIENCE;

const CLIENTS: usize = 6;

/// Key by revision, as events tell them.
type Events = Vec<(Revision, String)>;

pub(super) struct Load {
    clients: Vec<JoinHandle<BTreeMap<String, Revision>>>,
    watcher: JoinHandle<Events>,
    acknowledged: watch::Sender<usize>,
    /// Revision that the watcher has to reach before it stops.
    until: watch::Sender<Option<Revision>>,
    stop: watch::Sender<bool>,
}

/// Everything that clients saw.
pub(super) struct Seen {
    acknowledged: BTreeMap<String, Revision>,
    watched: Events,
}

impl Load {
    pub(super) fn start(endpoints: Vec<String>) -> Self {
        let endpoints: Arc<[String]> = endpoints.into();
        let (acknowledged, stop) = (watch::Sender::new(0), watch::Sender::new(false));
        let until = watch::Sender::new(None);
        let clients = (0..CLIENTS)
            .map(|client| {
                tokio::spawn(write(client, endpoints.clone(), acknowledged.clone(), stop.subscribe()))
            })
            .collect();
        let watcher = tokio::spawn(follow(endpoints, until.subscribe()));
        Self { clients, watcher, acknowledged, until, stop }
    }

    /// Waits until so many more writes are acknowledged, of which the last began after this was called.
    pub(super) async fn progress(&self, writes: usize) {
        let mut acknowledged = self.acknowledged.subscribe();
        let wanted = *acknowledged.borrow() + writes + CLIENTS;
        acknowledged.wait_for(|count| *count >= wanted).await.unwrap();
    }

    pub(super) async fn stop(self) -> Seen {
        self.stop.send_replace(true);
        let mut acknowledged = BTreeMap::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        self.until.send_replace(acknowledged.values().max().copied());
        Seen { acknowledged, watched: self.watcher.await.unwrap() }
    }
}

/// Writes one key after the other, through another member whenever one does not answer. What is not acknowledged may have
/// been written, so each key is tried once.
async fn write(
    client: usize,
    endpoints: Arc<[String]>,
    count: watch::Sender<usize>,
    stop: watch::Receiver<bool>,
) -> BTreeMap<String, Revision> {
    let mut acknowledged = BTreeMap::new();
    let (mut at, mut store) = (client, None);
    for n in 0u64.. {
        if *stop.borrow() {
            break;
        }
        let key = format!("/load/{client}/{n}");
        let put = async {
            let connected = match store.take() {
                Some(store) => store,
                None => EtcdStore::connect(&endpoints[at % endpoints.len()]).await.ok()?,
            };
            let revision = connected.put(key.clone(), key.clone()).await.ok()?;
            Some((connected, revision))
        };
        match timeout(PATIENCE, put).await.ok().flatten() {
            Some((connected, revision)) => {
                store = Some(connected);
                acknowledged.insert(key, revision);
                count.send_modify(|count| *count += 1);
            }
            None => {
                at += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    acknowledged
}

/// Watches everything from the first revision on, and goes on at another member whenever one has nothing to say for some
/// time, as a client does that keeps a copy.
async fn follow(endpoints: Arc<[String]>, until: watch::Receiver<Option<Revision>>) -> Events {
    let mut events = Events::new();
    for endpoint in endpoints.iter().cycle() {
        let next = events.last().map_or(1, |(revision, _)| revision + 1);
        let request = WatchRequest::new(KeyRange::All).from_revision(next);
        let opened =
            timeout(PATIENCE, async { EtcdStore::connect(endpoint).await.ok()?.watch(request).await.ok() });
        let Some(mut stream) = opened.await.ok().flatten() else { continue };
        loop {
            let is_done = until.borrow().is_some_and(|u| events.last().is_some_and(|(seen, _)| *seen >= u));
            if is_done {
                return events;
            }
            let Ok(Some(Ok(response))) = timeout(PATIENCE, stream.next()).await else { break };
            events.extend(
                response
                    .events
                    .into_iter()
                    .map(|event| (event.kv.mod_revision, String::from_utf8(event.kv.key.to_vec()).unwrap())),
            );
        }
    }
    events
}

/// Everything that happened, as a member tells it.
async fn history(endpoint: &str) -> Events {
    let store = EtcdStore::connect(endpoint).await.unwrap();
    // A write of our own is the last that it tells.
    let last = store.put("/last", "x").await.unwrap();
    let mut stream = store.watch(WatchRequest::new(KeyRange::All).from_revision(1)).await.unwrap();
    let mut events = Events::new();
    while events.last().is_none_or(|(revision, _)| *revision < last) {
        for event in stream.next().await.unwrap().unwrap().events {
            events.push((event.kv.mod_revision, String::from_utf8(event.kv.key.to_vec()).unwrap()));
        }
    }
    events
}

impl Seen {
    /// Every member has one and the same history, without gaps; all that was acknowledged is in it, where it was said to be;
    /// and it is what the watcher saw, each event once and in order.
    pub(super) async fn check(self, endpoints: &[String]) {
        let mut longest = Events::new();
        for endpoint in endpoints {
            let events = history(endpoint).await;
            for (n, (revision, key)) in events.iter().enumerate() {
                assert_eq!(*revision, n as Revision + 2, "{endpoint}: {key} does not follow");
            }
            assert!(events.starts_with(&longest), "{endpoint} tells another history");
            longest = events;
        }
        let told: BTreeMap<&str, Revision> = longest.iter().map(|(r, key)| (key.as_str(), *r)).collect();
        for (key, revision) in &self.acknowledged {
            assert_eq!(told.get(key.as_str()), Some(revision), "{key} was acknowledged");
        }
        assert!(longest.starts_with(&self.watched), "the watcher saw something else");
        assert!(self.watched.len() >= self.acknowledged.len(), "the watcher saw too little");
    }
}
