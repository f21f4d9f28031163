//! Keeps an informer equal to the server: list in pages, then watch, list again when the server asks for it.
//!
//! Nothing here knows the kind: objects pass as the text they came in, and the informer decodes each once. One loop serves every kind, instead of
//! the compiler writing one for each.

use super::informer::{Cached, Informer};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use http::header::{ACCEPT_ENCODING, HeaderValue};
use kube::api::{ApiResource, DynamicObject, ListParams, PartialObjectMeta, WatchParams};
use kube::core::Request as Build;
use kube::core::response::Status;
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE: u32 = 500;
const WATCH_SECONDS: u32 = 290;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// An object as the server wrote it.
pub(crate) type Text = Box<RawValue>;

/// An informer without its type.
pub(crate) trait Sink: Send + Sync {
    fn replace(&self, items: &[Text], revision: u64) -> serde_json::Result<()>;
    /// Takes an added or modified object and returns its resource version.
    fn apply(&self, object: &Text) -> serde_json::Result<Option<String>>;
    fn remove(&self, object: &Text) -> serde_json::Result<Option<String>>;
    fn progress(&self, revision: u64);
}

impl<K: Cached + DeserializeOwned> Sink for Informer<K> {
    fn replace(&self, items: &[Text], revision: u64) -> serde_json::Result<()> {
        let items = items.iter().map(decode).collect::<serde_json::Result<_>>()?;
        Informer::replace(self, items, revision);
        Ok(())
    }

    fn apply(&self, object: &Text) -> serde_json::Result<Option<String>> {
        let object: K = decode(object)?;
        let version = object.meta().resource_version.clone();
        Informer::apply(self, object);
        Ok(version)
    }

    fn remove(&self, object: &Text) -> serde_json::Result<Option<String>> {
        let object: K = decode(object)?;
        Informer::remove(self, &object);
        Ok(object.meta().resource_version.clone())
    }

    fn progress(&self, revision: u64) {
        Informer::progress(self, revision);
    }
}

/// Every object is decoded here, so that the compiler makes one decoder per kind.
pub(crate) fn decode<K: DeserializeOwned>(object: &Text) -> serde_json::Result<K> {
    serde_json::from_str(object.get())
}

/// How much of each object is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent {
    Whole,
    Metadata,
}

/// What is listed and watched: every object of one resource.
pub(crate) struct Source {
    client: Client,
    path: Build,
    extent: Extent,
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    items: Option<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: Option<String>,
    r#continue: Option<String>,
}

impl Source {
    pub(crate) fn new(client: Client, resource: &ApiResource, extent: Extent) -> Self {
        Self { client, path: Build::new(DynamicObject::url_path(resource, None)), extent }
    }

    async fn page(&self, params: &ListParams) -> kube::Result<Page> {
        let request = match self.extent {
            Extent::Whole => self.path.list(params),
            Extent::Metadata => self.path.list_metadata(params),
        };
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    fn watch(&self, from: &str) -> kube::Result<Request<Vec<u8>>> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let request = match self.extent {
            Extent::Whole => self.path.watch(&params, from),
            Extent::Metadata => self.path.watch_metadata(&params, from),
        };
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        // Servers compress watches one event at a time, which the client's decompression takes for the end.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(request)
    }
}

/// An event of a watch. Its type may follow its object, so that a type that buffers what comes before would not do.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: EventKind,
    object: Text,
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

/// Why a watch ended.
enum Ended {
    /// The server closed it in good order: go on from the last revision.
    Closed,
    /// Go on from the last revision after a pause.
    Failed(String),
    /// The revision is too old: list again.
    Expired,
}

impl From<kube::Error> for Ended {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of(&status),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Ended {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Ended {
    fn of(status: &Status) -> Self {
        if status.code == 410 { Self::Expired } else { Self::Failed(status.message.clone()) }
    }
}

/// The waits after failures, doubling.
struct Backoff {
    delay: Duration,
    rng: fastrand::Rng,
}

impl Backoff {
    fn reset(&mut self) {
        self.delay = FIRST_RETRY;
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.delay.mul_f64(1.0 + self.rng.f64())).await;
        self.delay = (self.delay * 2).min(LAST_RETRY);
    }
}

/// Runs until `shutdown`.
pub(crate) async fn reflect(
    source: Source,
    sink: Arc<dyn Sink>,
    rng: fastrand::Rng,
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff { delay: FIRST_RETRY, rng };
    let work = async {
        loop {
            match list(&source, &*sink).await {
                Ok(revision) => {
                    backoff.reset();
                    follow(&source, &*sink, revision, &mut backoff).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "list failed");
                    backoff.pause().await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

async fn list(source: &Source, sink: &dyn Sink) -> kube::Result<String> {
    let mut params = ListParams::default().limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = source.page(&params).await?;
        items.extend(page.items.unwrap_or_default());
        match page.metadata.r#continue.filter(|token| !token.is_empty()) {
            Some(token) => params = ListParams::default().limit(PAGE).continue_token(&token),
            None => {
                let version = page.metadata.resource_version.unwrap_or_default();
                let revision = version.parse().unwrap_or(0);
                sink.replace(&items, revision).map_err(kube::Error::SerdeError)?;
                return Ok(version);
            }
        }
    }
}

/// Watches until the server demands a new list.
async fn follow(source: &Source, sink: &dyn Sink, mut from: String, backoff: &mut Backoff) {
    loop {
        let before = from.clone();
        let Err(ended) = watch(source, sink, &mut from).await;
        match ended {
            Ended::Closed if from != before => backoff.reset(),
            // A server that keeps closing watches at once must not be hammered.
            Ended::Closed => backoff.pause().await,
            Ended::Failed(error) => {
                tracing::debug!(%error, "watch failed");
                backoff.pause().await;
            }
            Ended::Expired => return,
        }
    }
}

async fn watch(
    source: &Source,
    sink: &dyn Sink,
    from: &mut String,
) -> Result<std::convert::Infallible, Ended> {
    let lines = source.client.request_stream(source.watch(from)?).await?.lines();
    let mut lines = std::pin::pin!(lines);
    // A connection that died silently shows itself by outliving the time the server was given.
    let patience = Duration::from_secs(u64::from(WATCH_SECONDS) + 10);
    loop {
        let silent = |_| Ended::Failed("the watch went silent".into());
        let line = tokio::time::timeout(patience, lines.try_next()).await.map_err(silent)?;
        let line = line.map_err(|error| Ended::Failed(error.to_string()))?.ok_or(Ended::Closed)?;
        if let Some(version) = take(sink, &serde_json::from_str(&line)?)? {
            *from = version;
        }
    }
}

/// Hands on an event and returns the resource version it brings.
fn take(sink: &dyn Sink, Event { kind, object }: &Event) -> Result<Option<String>, Ended> {
    match kind {
        EventKind::Added | EventKind::Modified => Ok(sink.apply(object)?),
        EventKind::Deleted => Ok(sink.remove(object)?),
        EventKind::Bookmark => {
            let version = decode::<PartialObjectMeta>(object)?.metadata.resource_version;
            sink.progress(version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0));
            Ok(version)
        }
        EventKind::Error => Err(Ended::of(&decode(object)?)),
    }
}
