//! Watching keys.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;

use crate::{KeyRange, KeyValue, Result, Revision};

/// Asks for all changes of a set of keys, from a revision on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRequest {
    /// Which keys.
    pub range: KeyRange,
    /// First revision to report, which may lie ahead; `None` or a number below 1 for whatever comes after the call.
    pub start_revision: Option<Revision>,
    /// Report each key as it was before the change.
    pub prev_kv: bool,
    /// Which kinds of events to report.
    pub filter: EventFilter,
    /// Report progress by empty responses now and then when nothing happens (see the store's configuration).
    pub progress_notify: bool,
}

/// Which kinds of events a watcher wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EventFilter {
    /// Both.
    #[default]
    All,
    /// No deletes.
    PutsOnly,
    /// No puts.
    DeletesOnly,
    /// Neither: only reports of progress.
    Nothing,
}

impl EventFilter {
    /// Whether an event of this kind passes.
    pub fn admits(self, kind: EventKind) -> bool {
        match self {
            Self::All => true,
            Self::PutsOnly => kind == EventKind::Put,
            Self::DeletesOnly => kind == EventKind::Delete,
            Self::Nothing => false,
        }
    }
}

impl WatchRequest {
    /// Changes of `range` after the call.
    pub fn new(range: KeyRange) -> Self {
        Self { range, start_revision: None, prev_kv: false, filter: EventFilter::All, progress_notify: false }
    }

    /// Changes of one key after the call.
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self::new(KeyRange::Key(key.into()))
    }

    /// Changes of all keys that start with `prefix` after the call.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        Self::new(KeyRange::Prefix(prefix.into()))
    }

    /// From this revision on, it included.
    #[must_use]
    pub fn from_revision(mut self, revision: Revision) -> Self {
        self.start_revision = Some(revision);
        self
    }

    /// With the keys as they were before.
    #[must_use]
    pub fn with_prev(mut self) -> Self {
        self.prev_kv = true;
        self
    }

    /// With progress reports.
    #[must_use]
    pub fn with_progress(mut self) -> Self {
        self.progress_notify = true;
        self
    }
}

/// What happened to the watched keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchResponse {
    /// Revision of the events; everything up to it has been reported when the events are read.
    pub revision: Revision,
    /// All watched changes of exactly this revision, in the order of the transaction; empty for a progress report.
    pub events: Vec<Event>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What was done.
    pub kind: EventKind,
    /// The key after it; for a delete only key and mod revision are set.
    pub kv: KeyValue,
    /// The key before it, if it existed, was asked for and is not compacted away.
    pub prev: Option<KeyValue>,
}

/// What was done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Created or replaced.
    Put,
    /// Deleted.
    Delete,
}

/// The events of one watcher: a stream of [`WatchResponse`]s with strictly rising revisions (progress reports may repeat the
/// last one). It ends after an error. Dropping it ends the watch.
pub struct WatchStream {
    revision: Revision,
    progress: WatchProgress,
    responses: Pin<Box<dyn Stream<Item = Result<WatchResponse>> + Send>>,
}

impl WatchStream {
    /// Wraps an implementation's stream. `revision` is the store's revision when the watch was established.
    pub fn new(
        revision: Revision,
        progress: WatchProgress,
        responses: impl Stream<Item = Result<WatchResponse>> + Send + 'static,
    ) -> Self {
        Self { revision, progress, responses: Box::pin(responses) }
    }

    /// The store's revision when the watch was established: without a start revision, events begin right after it.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// A handle to ask for progress reports, to keep while the stream itself is read elsewhere.
    pub fn progress(&self) -> WatchProgress {
        self.progress.clone()
    }
}

impl Stream for WatchStream {
    type Item = Result<WatchResponse>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.responses.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchStream").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// Asks a watcher to report, by an empty response, the store's revision of the moment once it has delivered everything up
/// to it. Several requests may be answered by one report.
#[derive(Clone)]
pub struct WatchProgress(Arc<dyn Fn() + Send + Sync>);

impl WatchProgress {
    /// Wraps an implementation's way to ask.
    pub fn new(request: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(request))
    }

    /// Asks for a report. Does nothing when the stream is gone.
    pub fn request(&self) {
        (self.0)();
    }
}

impl fmt::Debug for WatchProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchProgress")
    }
}
