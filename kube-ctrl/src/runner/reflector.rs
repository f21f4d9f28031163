//! Keeps an informer equal to the server: list in pages, then watch, list again when the server asks for it.

use super::informer::{Cached, Informer};
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use kube::api::{Api, DynamicObject, ListParams, ObjectList, PartialObjectMeta, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE: u32 = 500;
const WATCH_SECONDS: u32 = 290;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Where a reflector lists and watches.
#[async_trait]
pub(crate) trait Source<K: Clone>: Send + Sync {
    async fn list(&self, params: &ListParams) -> kube::Result<ObjectList<K>>;
    async fn watch(
        &self,
        params: &WatchParams,
        from: &str,
    ) -> kube::Result<BoxStream<'static, kube::Result<WatchEvent<K>>>>;
}

#[async_trait]
impl<K: Cached + DeserializeOwned + Debug> Source<K> for Api<K> {
    async fn list(&self, params: &ListParams) -> kube::Result<ObjectList<K>> {
        Api::list(self, params).await
    }

    async fn watch(
        &self,
        params: &WatchParams,
        from: &str,
    ) -> kube::Result<BoxStream<'static, kube::Result<WatchEvent<K>>>> {
        Ok(Api::watch(self, params, from).await?.boxed())
    }
}

/// Lists and watches metadata only.
pub(crate) struct MetadataOf(pub(crate) Api<DynamicObject>);

#[async_trait]
impl Source<PartialObjectMeta> for MetadataOf {
    async fn list(&self, params: &ListParams) -> kube::Result<ObjectList<PartialObjectMeta>> {
        self.0.list_metadata(params).await
    }

    async fn watch(
        &self,
        params: &WatchParams,
        from: &str,
    ) -> kube::Result<BoxStream<'static, kube::Result<WatchEvent<PartialObjectMeta>>>> {
        Ok(self.0.watch_metadata(params, from).await?.boxed())
    }
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

/// Runs until `shutdown`.
pub(crate) async fn reflect<K: Cached>(
    source: impl Source<K>,
    informer: Informer<K>,
    mut rng: fastrand::Rng,
    shutdown: CancellationToken,
) {
    let mut delay = FIRST_RETRY;
    let work = async {
        loop {
            match list(&source, &informer).await {
                Ok(revision) => {
                    delay = FIRST_RETRY;
                    follow(&source, &informer, revision, &mut rng).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "list failed");
                    pause(&mut delay, &mut rng).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

async fn pause(delay: &mut Duration, rng: &mut fastrand::Rng) {
    tokio::time::sleep(delay.mul_f64(1.0 + rng.f64())).await;
    *delay = (*delay * 2).min(LAST_RETRY);
}

async fn list<K: Cached>(source: &impl Source<K>, informer: &Informer<K>) -> kube::Result<String> {
    let mut params = ListParams::default().limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = source.list(&params).await?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = ListParams::default().limit(PAGE).continue_token(&token),
            None => {
                let version = page.metadata.resource_version.unwrap_or_default();
                informer.replace(items, version.parse().unwrap_or(0));
                return Ok(version);
            }
        }
    }
}

/// Watches until the server demands a new list.
async fn follow<K: Cached>(
    source: &impl Source<K>,
    informer: &Informer<K>,
    mut from: String,
    rng: &mut fastrand::Rng,
) {
    let mut delay = FIRST_RETRY;
    loop {
        let before = from.clone();
        match watch(source, informer, &mut from).await {
            Ended::Closed if from != before => delay = FIRST_RETRY,
            // A server that keeps closing watches at once must not be hammered.
            Ended::Closed => pause(&mut delay, rng).await,
            Ended::Failed(error) => {
                tracing::debug!(%error, "watch failed");
                pause(&mut delay, rng).await;
            }
            Ended::Expired => return,
        }
    }
}

async fn watch<K: Cached>(source: &impl Source<K>, informer: &Informer<K>, from: &mut String) -> Ended {
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    let mut stream = match source.watch(&params, from).await {
        Ok(stream) => stream,
        Err(kube::Error::Api(status)) if status.code == 410 => return Ended::Expired,
        Err(error) => return Ended::Failed(error.to_string()),
    };
    loop {
        // A connection that died silently shows itself by outliving the time the server was given.
        let patience = Duration::from_secs(u64::from(WATCH_SECONDS) + 10);
        match tokio::time::timeout(patience, stream.next()).await {
            Err(_) => return Ended::Failed("the watch went silent".into()),
            Ok(None) => return Ended::Closed,
            Ok(Some(Err(error))) => return Ended::Failed(error.to_string()),
            Ok(Some(Ok(event))) => {
                if let Some(ended) = take(informer, event, from) {
                    return ended;
                }
            }
        }
    }
}

fn take<K: Cached>(informer: &Informer<K>, event: WatchEvent<K>, from: &mut String) -> Option<Ended> {
    let version = match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let version = object.meta().resource_version.clone();
            informer.apply(object);
            version
        }
        WatchEvent::Deleted(object) => {
            informer.remove(&object);
            object.meta().resource_version.clone()
        }
        WatchEvent::Bookmark(bookmark) => {
            informer.progress(bookmark.metadata.resource_version.parse().unwrap_or(0));
            Some(bookmark.metadata.resource_version)
        }
        WatchEvent::Error(status) if status.code == 410 => return Some(Ended::Expired),
        WatchEvent::Error(status) => return Some(Ended::Failed(status.message)),
    };
    if let Some(version) = version {
        *from = version;
    }
    None
}
