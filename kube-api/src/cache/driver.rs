//! The task that follows the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use kube_store::{
    EventKind, Revision, Store, StoreExt, WatchProgress, WatchRequest, WatchResponse, WatchStream,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::entry::{Change, ChangeKind, Entry, Filter};
use super::state::{Start, State};
use super::watcher::Watcher;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::kinds::Kind;

/// How long a reader waits for a revision that the store has and the cache does not yet.
const FRESH_WITHIN: Duration = Duration::from_secs(3);
/// How long a reader waits for the first list.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// The watch cache of one kind. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kind: Arc<Kind>,
    prefix: Bytes,
    store: Arc<dyn Store>,
    state: Mutex<State>,
    progress: Mutex<Option<WatchProgress>>,
    /// 0 until the first list is there.
    revision: watch::Sender<Revision>,
    ring_bytes: usize,
    queue: usize,
    bookmark_interval: Duration,
}

impl Cache {
    /// Starts following the keys of a kind until `shutdown`.
    pub(crate) fn start(
        kind: Arc<Kind>,
        prefix: Bytes,
        store: Arc<dyn Store>,
        config: &Config,
        shutdown: CancellationToken,
    ) -> Self {
        let shared = Arc::new(Shared {
            kind,
            prefix,
            store,
            state: Mutex::default(),
            progress: Mutex::default(),
            revision: watch::Sender::new(0),
            ring_bytes: config.watch_ring_bytes,
            queue: config.watch_queue,
            bookmark_interval: config.bookmark_interval,
        });
        let task = Arc::clone(&shared);
        tokio::spawn(async move { shutdown.run_until_cancelled(task.follow()).await });
        Self(shared)
    }

    /// Waits until the cache shows at least this revision.
    pub(crate) async fn wait_for(&self, revision: Revision) -> Result<()> {
        let mut seen = self.0.revision.subscribe();
        if *seen.borrow_and_update() >= revision {
            return Ok(());
        }
        if let Some(progress) = self.0.progress.lock().as_ref() {
            progress.request();
        }
        let reached = tokio::time::timeout(FRESH_WITHIN, seen.wait_for(|r| *r >= revision)).await;
        // What it returns holds a lock, and looking a second time while the follower waits to write would wait for ever.
        if reached.map(drop).is_ok() {
            return Ok(());
        }
        let current = *self.0.revision.borrow();
        Err(Error::too_large_version(revision, current))
    }

    /// Waits until the cache shows what the store showed when this was called.
    pub(crate) async fn wait_fresh(&self) -> Result<()> {
        let revision = self.0.store.revision().await?;
        self.wait_ready().await?;
        self.wait_for(revision).await
    }

    /// Waits for the first list.
    pub(crate) async fn wait_ready(&self) -> Result<()> {
        let mut seen = self.0.revision.subscribe();
        let ready = tokio::time::timeout(READY_WITHIN, seen.wait_for(|r| *r > 0)).await;
        ready
            .map_err(|_| Error::Unavailable("the watch cache is not ready".to_owned()))?
            .map_err(Error::internal)?;
        Ok(())
    }

    /// The matching objects, the revision they are of, and how many more there are beyond the limit.
    pub(crate) fn list(&self, filter: &Filter, limit: usize) -> (Revision, Vec<Arc<Entry>>, usize) {
        let state = self.0.state.lock();
        let (entries, rest) = state.list(filter, limit);
        (state.revision, entries, rest)
    }

    /// Begins a watch.
    pub(crate) fn watch(&self, filter: Filter, start: Start, bookmarks: bool) -> Result<Watcher> {
        self.0.state.lock().watch(filter, start, bookmarks, self.0.queue)
    }
}

impl Shared {
    async fn follow(&self) {
        loop {
            if let Err(error) = self.follow_once().await {
                tracing::warn!(kind = %self.kind.kind, %error, "the watch cache lost the store and lists again");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn follow_once(&self) -> Result<()> {
        let range = self.store.list(self.prefix.clone()).await?;
        let request =
            WatchRequest::prefix(self.prefix.clone()).from_revision(range.revision + 1).with_progress();
        let stream = self.store.watch(request).await?;
        let parse = |kv: &kube_store::KeyValue| {
            self.entry(kv.key.clone(), &kv.value, kv.mod_revision, ChangeKind::Added)
        };
        let entries: Vec<Entry> = range.kvs.iter().filter_map(parse).collect();
        // The revision of an empty store is 0 in some stores; the readers' "ready" is 1.
        let revision = range.revision.max(1);
        self.state.lock().reset(revision, entries);
        *self.progress.lock() = Some(stream.progress());
        self.revision.send_replace(revision);
        self.read(stream).await
    }

    async fn read(&self, mut stream: WatchStream) -> Result<()> {
        let mut bookmarks = tokio::time::interval(self.bookmark_interval);
        let progress = stream.progress();
        let mut due = false;
        loop {
            tokio::select! {
                response = stream.next() => match response {
                    Some(response) => self.take(response?, &mut due),
                    None => return Ok(()),
                },
                _ = bookmarks.tick() => {
                    due = true;
                    progress.request();
                }
            }
        }
    }

    fn take(&self, response: WatchResponse, due: &mut bool) {
        let mut state = self.state.lock();
        for event in response.events {
            let previous = state.get(&event.kv.key).cloned();
            let kind = match (event.kind, &previous) {
                (EventKind::Delete, _) => ChangeKind::Deleted,
                (EventKind::Put, None) => ChangeKind::Added,
                (EventKind::Put, Some(_)) => ChangeKind::Modified,
            };
            let entry = match (kind, &previous) {
                (ChangeKind::Deleted, None) => None,
                (ChangeKind::Deleted, Some(last)) => Some(last.redated(response.revision)),
                _ => self.entry(event.kv.key, &event.kv.value, response.revision, kind),
            };
            if let Some(entry) = entry.map(Arc::new) {
                state.apply(Change { revision: response.revision, kind, entry, previous }, self.ring_bytes);
            }
        }
        state.progress(response.revision);
        if std::mem::take(due) {
            state.bookmark();
        }
        let revision = state.revision;
        drop(state);
        self.revision.send_if_modified(|r| std::mem::replace(r, revision.max(*r)) < revision);
    }

    fn entry(&self, key: Bytes, stored: &[u8], revision: Revision, kind: ChangeKind) -> Option<Entry> {
        let entry = Entry::new(&self.kind, key.clone(), stored, revision, kind);
        entry.inspect_err(|error| tracing::error!(?key, %error, "a stored object cannot be read")).ok()
    }
}
