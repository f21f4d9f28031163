//! Clients that write and read all the time, one that watches, and what all of them saw.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube_store::testing::simulation::{History, Told, Watched};
use kube_store::{EtcdStore, KeyRange, RangeRequest, Revision, Store, StoreExt, WatchRequest};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::cluster::PATIENCE;
use super::judge::{Read, Seen, Span, Write};

const WRITERS: usize = 6;
const READERS: usize = 2;

/// How often in a row a watcher opens a watch that tells it nothing, once all is written, before it gives up.
const TRIES: usize = 8;

pub(super) struct Load {
    clients: Vec<JoinHandle<Vec<Done>>>,
    watcher: JoinHandle<Vec<Watched>>,
    acknowledged: watch::Sender<usize>,
    /// Revision that the watcher has to reach before it stops.
    until: watch::Sender<Option<Revision>>,
    stop: watch::Sender<bool>,
}

/// What a client does.
#[derive(Clone, Copy)]
enum Job {
    /// It writes one key after the other, each once.
    Write(usize),
    /// It reads what was just written.
    Read(usize),
}

/// One thing that a client did.
enum Done {
    Write(Write),
    Read(Read),
}

/// What clients have in common.
#[derive(Clone)]
struct Client {
    endpoints: Arc<[String]>,
    zero: Instant,
    /// A key that was written lately.
    newest: Arc<Mutex<String>>,
    count: watch::Sender<usize>,
    stop: watch::Receiver<bool>,
}

impl Load {
    pub(super) fn start(endpoints: Vec<String>) -> Self {
        let (acknowledged, stop) = (watch::Sender::new(0), watch::Sender::new(false));
        let until = watch::Sender::new(None);
        let client = Client {
            endpoints: endpoints.into(),
            zero: Instant::now(),
            newest: Arc::new(Mutex::new("/load/none".into())),
            count: acknowledged.clone(),
            stop: stop.subscribe(),
        };
        let jobs = (0..WRITERS).map(Job::Write).chain((0..READERS).map(Job::Read));
        let clients = jobs.map(|job| tokio::spawn(client.clone().run(job))).collect();
        let watcher = tokio::spawn(follow(client.endpoints, until.subscribe()));
        Self { clients, watcher, acknowledged, until, stop }
    }

    /// Waits until so many more writes are acknowledged, of which the last began after this was called.
    pub(super) async fn progress(&self, writes: usize) {
        let mut acknowledged = self.acknowledged.subscribe();
        let wanted = *acknowledged.borrow() + writes + WRITERS;
        acknowledged.wait_for(|count| *count >= wanted).await.unwrap();
    }

    pub(super) async fn stop(self) -> Seen {
        self.stop.send_replace(true);
        let mut seen = Seen::default();
        for client in self.clients {
            for done in client.await.unwrap() {
                match done {
                    Done::Write(write) => seen.writes.push(write),
                    Done::Read(read) => seen.reads.push(read),
                }
            }
        }
        self.until.send_replace(seen.writes.iter().map(|write| write.revision).max());
        seen.watched = self.watcher.await.unwrap();
        assert!(!seen.reads.is_empty(), "nothing was read");
        seen
    }
}

impl Client {
    fn now(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap()
    }

    /// Does its job at one member after the other until it is told to stop: at another whenever one does not answer in time.
    /// What is not answered may have been done.
    async fn run(self, job: Job) -> Vec<Done> {
        let (Job::Write(mut at) | Job::Read(mut at)) = job;
        let (mut connected, mut all) = (None, Vec::new());
        for n in 0u64.. {
            if *self.stop.borrow() {
                break;
            }
            let acted = async {
                let store = match connected.take() {
                    Some(store) => store,
                    None => EtcdStore::connect(&self.endpoints[at % self.endpoints.len()]).await.ok()?,
                };
                let done = match job {
                    Job::Write(writer) => self.write(&store, writer, n).await.map(Done::Write)?,
                    Job::Read(_) => self.read(&store).await.map(Done::Read)?,
                };
                Some((store, done))
            };
            match timeout(PATIENCE, acted).await.ok().flatten() {
                Some((store, done)) => {
                    connected = Some(store);
                    all.push(done);
                }
                None => {
                    at += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        all
    }

    async fn write(&self, store: &EtcdStore, writer: usize, n: u64) -> Option<Write> {
        let (key, start) = (format!("/load/{writer}/{n}"), self.now());
        let revision = store.put(key.clone(), key.clone()).await.ok()?;
        let when = Span { start, end: self.now() };
        self.newest.lock().clone_from(&key);
        self.count.send_modify(|count| *count += 1);
        Some(Write { key, revision, when })
    }

    async fn read(&self, store: &EtcdStore) -> Option<Read> {
        let (key, start) = (self.newest.lock().clone(), self.now());
        let response = store.range(RangeRequest::key(key.clone())).await.ok()?;
        let (found, when) = (response.kvs.first().map(|kv| kv.mod_revision), Span { start, end: self.now() });
        // Some air for those who write.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some(Read { key, revision: response.revision, found, when })
    }
}

/// Watches everything from the first revision on, and goes on at another member whenever one has nothing to say for some
/// time, as a client does that keeps a copy.
async fn follow(endpoints: Arc<[String]>, until: watch::Receiver<Option<Revision>>) -> Vec<Watched> {
    let (mut all, mut next, mut empty) = (Vec::new(), 1, 0);
    let is_done = |next: Revision| until.borrow().is_some_and(|until| next > until);
    for endpoint in endpoints.iter().cycle() {
        if is_done(next) || empty >= TRIES {
            break;
        }
        let request = WatchRequest::new(KeyRange::All).from_revision(next);
        let open = async { EtcdStore::connect(endpoint).await.ok()?.watch(request.clone()).await.ok() };
        let Some(mut stream) = timeout(PATIENCE, open).await.ok().flatten() else { continue };
        let mut watched = Watched { request: request.clone(), opened: stream.revision(), told: Vec::new() };
        while !is_done(next) {
            let Ok(Some(Ok(response))) = timeout(PATIENCE, stream.next()).await else { break };
            next = response.events.last().map_or(next, |event| event.kv.mod_revision + 1);
            watched.told.push(match response.events.is_empty() {
                true => Told::Progress(response.revision),
                false => Told::Events(response.events),
            });
        }
        empty = if watched.told.is_empty() && until.borrow().is_some() { empty + 1 } else { 0 };
        all.push(watched);
    }
    all
}

/// Everything that happened, as a member tells it.
pub(super) async fn history(endpoint: &str) -> History {
    let store = EtcdStore::connect(endpoint).await.unwrap();
    // A write of our own is the last that it tells.
    let last = store.put("/last", "x").await.unwrap();
    let mut stream = store.watch(WatchRequest::new(KeyRange::All).from_revision(1)).await.unwrap();
    let mut history = History::default();
    while history.newest() < last {
        let response = stream.next().await.unwrap().unwrap();
        history.add(response.revision, response.events);
    }
    history
}

/// What each of these members tells.
pub(super) async fn histories(endpoints: &[String]) -> Vec<History> {
    let mut all = Vec::new();
    for endpoint in endpoints {
        all.push(history(endpoint).await);
    }
    all
}
