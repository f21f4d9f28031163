//! Keeps up with one kind: lists it in pages, then watches it, and lists again when the server asks for that.
//!
//! Nothing here knows the kind: objects pass as the text they came in, and the kind's row in the table reads each once. So
//! there is one loop for all kinds, instead of one that the compiler makes for each.

use std::collections::HashSet;
use std::time::Duration;

use fastrand::Rng;
use futures::{AsyncBufReadExt, TryStreamExt};
use http::header::{ACCEPT_ENCODING, HeaderValue};
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, Status};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::watched::{Identity, Observed, Row, Seen};
use crate::shared::Shared;

/// Objects of a list that are asked for at a time.
const PAGE: u32 = 500;
/// How long the server is asked to let a watch live, as upstream's clients do, in seconds.
const WATCH_SECONDS: u32 = 290;
/// A connection that died silently shows itself by outliving that time.
const PATIENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// The wait after a first failure; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// The longest wait.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Tells what happens to the objects of one kind.
pub(super) struct Reflector {
    client: Client,
    row: &'static Row,
    path: Request,
    changes: mpsc::Sender<Observed>,
    /// The keys of all objects: enough to notice which vanished while the watch was down.
    known: HashSet<String>,
    /// What they have in common.
    shared: Shared,
    delay: Duration,
    rng: Rng,
}

/// Why a list or a watch is over.
#[derive(Debug)]
enum Stop {
    /// The server closed the watch in good order, or the connection is dead: go on from the last version.
    Closed,
    /// The version is too old: list again.
    Expired,
    /// Try again after a pause.
    Failed(kube::Error),
    /// Nobody listens any more.
    Unheard,
}

impl Stop {
    fn of(status: Box<Status>) -> Self {
        if status.code == 410 { Self::Expired } else { Self::Failed(kube::Error::Api(status)) }
    }
}

impl From<kube::Error> for Stop {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of(status),
            error => Self::Failed(error),
        }
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(kube::Error::SerdeError(error))
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    metadata: PageMeta,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: Option<String>,
    r#continue: Option<String>,
}

/// An event of a watch. Its type may follow its object, so that a type that buffers what comes before would not do.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: EventKind,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl Reflector {
    /// `rng` spreads the retries of many clients.
    pub(super) fn new(client: Client, row: &'static Row, changes: mpsc::Sender<Observed>, rng: Rng) -> Self {
        let path = Request::new(row.path);
        Self {
            client,
            row,
            path,
            changes,
            known: HashSet::new(),
            shared: Shared::default(),
            delay: FIRST_RETRY,
            rng,
        }
    }

    /// Runs until nobody listens any more.
    pub(super) async fn run(mut self) {
        let mut version = None;
        loop {
            let started = Instant::now();
            let stop = match &mut version {
                None => match self.list().await {
                    Ok(listed) => {
                        version = Some(listed);
                        continue;
                    }
                    Err(stop) => stop,
                },
                Some(version) => self.watch(version).await.unwrap_or_else(|stop| stop),
            };
            match &stop {
                Stop::Unheard => return,
                Stop::Expired => version = None,
                Stop::Closed => {}
                Stop::Failed(error) => {
                    if self.is_unknown(error) && self.synced().await.is_err() {
                        return;
                    }
                }
            }
            if started.elapsed() >= LAST_RETRY {
                self.delay = FIRST_RETRY;
            }
            self.pause().await;
        }
    }

    /// Whether the server does not have the kind: then there are no objects of it. Says what went wrong in any case.
    fn is_unknown(&self, error: &kube::Error) -> bool {
        let (unknown, path) =
            (matches!(error, kube::Error::Api(status) if status.code == 404), self.row.path);
        if unknown {
            tracing::debug!(%error, path, "not served");
        } else {
            tracing::warn!(%error, path, "watch failed, trying again");
        }
        unknown
    }

    async fn pause(&mut self) {
        sleep(self.delay.mul_f64(1.0 + self.rng.f64())).await;
        self.delay = (self.delay * 2).min(LAST_RETRY);
    }

    async fn send(&self, observed: Option<Observed>) -> Result<(), Stop> {
        let Some(observed) = observed else { return Ok(()) };
        self.changes.send(observed).await.map_err(|_| Stop::Unheard)
    }

    async fn synced(&self) -> Result<(), Stop> {
        self.send(Some(Observed::Synced(self.row.kind))).await
    }

    /// Tells of everything there is, and of what is no more; returns the version from which to watch.
    async fn list(&mut self) -> Result<String, Stop> {
        let (mut params, mut listed) = (ListParams::default().limit(PAGE), HashSet::new());
        loop {
            let request = self.path.list(&params).map_err(kube::Error::BuildRequest)?;
            let text = self.client.request_text(request).await?;
            let page: Page<'_> = serde_json::from_str(&text)?;
            for item in page.items.iter().flatten() {
                let Some(Seen { identity, observed }) = self.read(item.get()) else { continue };
                let key = identity.key();
                self.known.insert(key.clone());
                listed.insert(key);
                self.send(observed).await?;
            }
            match page.metadata.r#continue.filter(|token| !token.is_empty()) {
                Some(token) => params = ListParams::default().limit(PAGE).continue_token(&token),
                None => {
                    self.forget_all_but(listed).await?;
                    return Ok(page.metadata.resource_version.unwrap_or_default());
                }
            }
        }
    }

    async fn forget_all_but(&mut self, listed: HashSet<String>) -> Result<(), Stop> {
        let mut gone: Vec<_> = self.known.difference(&listed).cloned().collect();
        gone.sort_unstable();
        self.known = listed;
        for key in gone {
            self.send(Some((self.row.forget)(key))).await?;
        }
        self.synced().await
    }

    /// Tells of every event from `version` on, which stays the one from which to go on.
    async fn watch(&mut self, version: &mut String) -> Result<Stop, Stop> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let mut request = self.path.watch(&params, version).map_err(kube::Error::BuildRequest)?;
        // Servers compress watches one event at a time, which the client's decompression takes for the end.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut lines = std::pin::pin!(self.client.request_stream(request).await?.lines());
        loop {
            let Ok(line) = timeout(PATIENCE, lines.try_next()).await else { return Ok(Stop::Closed) };
            let Some(line) = line.map_err(kube::Error::ReadEvents)? else { return Ok(Stop::Closed) };
            let event: Event<'_> = serde_json::from_str(&line)?;
            if let Some(newer) = self.take(&event).await? {
                *version = newer;
                self.delay = FIRST_RETRY;
            }
        }
    }

    /// Passes an event on; returns the version that it brings.
    async fn take(&mut self, event: &Event<'_>) -> Result<Option<String>, Stop> {
        let text = event.object.get();
        match event.kind {
            EventKind::Added | EventKind::Modified => {
                let Some(Seen { identity, observed }) = self.read(text) else { return Ok(None) };
                self.known.insert(identity.key());
                self.send(observed).await?;
                Ok(identity.version)
            }
            EventKind::Deleted => {
                let identity = Identity::read(text)?;
                let key = identity.key();
                self.known.remove(&key);
                self.send(Some((self.row.forget)(key))).await?;
                Ok(identity.version)
            }
            EventKind::Bookmark => Ok(Identity::read(text)?.version),
            EventKind::Error => Err(Stop::of(serde_json::from_str(text)?)),
        }
    }

    /// Reads an object. One that makes no sense must not hide all others.
    fn read(&mut self, text: &str) -> Option<Seen> {
        let seen = (self.row.read)(text, &mut self.shared);
        seen.inspect_err(|error| tracing::warn!(%error, path = self.row.path, "ignoring an object")).ok()
    }
}

#[cfg(test)]
mod tests;
