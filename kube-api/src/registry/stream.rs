//! Watches as streams of bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Registry, Subject};
use crate::cache::{ChangeKind, Delivery, Entry, Start, Watcher};
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::present::Presenter;
use crate::request::{ListOptions, VersionMatch};

/// A watch in progress.
#[derive(Debug)]
struct Session {
    kind: Arc<Kind>,
    watcher: Watcher,
    presenter: Presenter,
    deadline: Instant,
    stage: Stage,
    mark_initial: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Initial,
    Live,
}

impl Registry {
    /// Starts a watch. A start revision that is forgotten gives a stream of one `ERROR` event.
    pub(crate) async fn watch(
        &self,
        subject: &Subject,
        options: &ListOptions,
        presenter: Presenter,
    ) -> Result<impl Stream<Item = Bytes> + Send + 'static> {
        let filter = self.filter(subject, options)?;
        let cache = self.cache(&subject.kind)?;
        cache.wait_ready().await?;
        let initial = options.send_initial;
        let start = match (options.version, initial) {
            (VersionMatch::Latest, Some(false)) => {
                cache.wait_fresh().await?;
                Start::Now
            }
            (VersionMatch::Latest, _) => {
                cache.wait_fresh().await?;
                Start::Current
            }
            (VersionMatch::Any, Some(false)) => Start::Now,
            (VersionMatch::Any, _) => Start::Current,
            (VersionMatch::NotOlderThan(revision) | VersionMatch::Exact(revision), Some(true)) => {
                cache.wait_for(revision).await?;
                Start::Current
            }
            (VersionMatch::NotOlderThan(revision) | VersionMatch::Exact(revision), _) => {
                Start::After(revision)
            }
        };
        let watcher = cache.watch(filter, start, options.bookmarks);
        let session = watcher.map(|watcher| Session {
            kind: Arc::clone(&subject.kind),
            watcher,
            presenter,
            deadline: Instant::now() + self.watch_timeout(options),
            stage: Stage::Initial,
            mark_initial: initial == Some(true) && options.bookmarks,
        });
        Ok(match session {
            Ok(session) => futures::future::Either::Left(futures::stream::unfold(session, Session::step)),
            Err(error @ Error::Expired(_)) => {
                let line = line("ERROR", &error.status());
                futures::future::Either::Right(futures::stream::once(async move { line }))
            }
            Err(error) => return Err(error),
        })
    }

    fn watch_timeout(&self, options: &ListOptions) -> Duration {
        let least = self.config.min_watch_timeout;
        options.timeout.unwrap_or_else(|| least + Duration::from_secs(self.random_below(least.as_secs())))
    }
}

impl Session {
    async fn step(mut self) -> Option<(Bytes, Self)> {
        loop {
            if self.stage == Stage::Initial {
                match self.watcher.initial() {
                    Some(delivery) => {
                        if let Some(bytes) = self.bytes(&delivery) {
                            return Some((bytes, self));
                        }
                        continue;
                    }
                    None => {
                        self.stage = Stage::Live;
                        if self.mark_initial {
                            let mark = self.presenter.bookmark(&self.kind, self.watcher.revision, true);
                            return Some((line("BOOKMARK", &mark), self));
                        }
                    }
                }
            }
            let delivery = tokio::time::timeout_at(self.deadline, self.watcher.next()).await.ok()??;
            if let Some(bytes) = self.bytes(&delivery) {
                return Some((bytes, self));
            }
        }
    }

    fn bytes(&mut self, delivery: &Delivery) -> Option<Bytes> {
        match delivery {
            Delivery::Bookmark(revision) => {
                Some(line("BOOKMARK", &self.presenter.bookmark(&self.kind, *revision, false)))
            }
            Delivery::Change(kind, entry) => self.change(*kind, entry),
        }
    }

    fn change(&mut self, kind: ChangeKind, entry: &Entry) -> Option<Bytes> {
        if self.presenter.is_plain() {
            return Some(entry.frame(kind));
        }
        let value: Value = serde_json::from_slice(&entry.bytes()).ok()?;
        Some(line(kind.name(), &self.presenter.single(&self.kind, value)))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut line = json!({"type": kind, "object": object}).to_string();
    line.push('\n');
    line.into()
}
