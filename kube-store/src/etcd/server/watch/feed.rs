//! One watch of the store for all clients that watch the same.
//!
//! A feed encodes each event once, and keeps the newest in a ring. Clients are not sent anything by it: each reads from where it is,
//! so one that is slow holds up nobody, and when the ring has gone past it, it gets a feed of its own, which waits for it. What such
//! a one has to read it is sent many revisions at once, as by etcd.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::encode::Entry;
use crate::{
    Error, Event, EventFilter, KeyRange, Revision, Store, WatchProgress, WatchRequest, WatchResponse,
    WatchStream,
};

/// Bytes of encoded events kept for those who share a feed, and entries, with or without events.
const SHARED: Limits = Limits { bytes: 4 << 20, entries: 4096 };
/// The same of a feed for one client, which does not go on before they are read.
const PRIVATE: Limits = Limits { bytes: 1 << 20, entries: 256 };
/// What one response to who reads the past holds, in bytes of keys and values and in revisions, as etcd's, which knows no limit
/// of bytes. A single revision may have more.
const BATCH: Limits = Limits { bytes: 16 << 20, entries: 1000 };

/// What makes two watches the same, but for where they start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    range: KeyRange,
    filter: EventFilter,
    prev_kv: bool,
    pub(super) progress_notify: bool,
}

impl Shape {
    pub(super) fn of(request: &WatchRequest) -> Self {
        let WatchRequest { range, filter, prev_kv, progress_notify, start_revision: _ } = request.clone();
        Self { range, filter, prev_kv, progress_notify }
    }

    fn from(&self, start_revision: Option<Revision>) -> WatchRequest {
        let Self { range, filter, prev_kv, progress_notify } = self.clone();
        WatchRequest { range, filter, prev_kv, progress_notify, start_revision }
    }
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes: usize,
    entries: usize,
}

/// For those who share a feed, each revision is encoded once.
const ONE: Limits = Limits { bytes: 0, entries: 1 };

/// All feeds that are shared.
#[derive(Debug, Default)]
pub(in super::super) struct Feeds(Mutex<HashMap<Shape, Weak<Feed>>>);

impl Feeds {
    /// The feed of a shape, if there is one that has not ended.
    pub(super) fn find(&self, shape: &Shape) -> Option<Arc<Feed>> {
        let feed = self.0.lock().get(shape)?.upgrade()?;
        let ended = feed.state.lock().ended.is_some();
        (!ended).then_some(feed)
    }

    /// Lets others share a feed, and forgets those that are gone.
    fn insert(&self, shape: Shape, feed: &Arc<Feed>) {
        let mut all = self.0.lock();
        if all.len() == all.capacity() {
            all.retain(|_, feed| feed.strong_count() > 0);
        }
        all.insert(shape, Arc::downgrade(feed));
    }
}

/// Events of one shape.
#[derive(Debug)]
pub(super) struct Feed {
    state: Mutex<State>,
    /// Says that a feed for one client may go on.
    room: Arc<Notify>,
    limits: Limits,
    is_shared: bool,
    /// The store has more than was read.
    is_behind: AtomicBool,
    progress: WatchProgress,
    reading: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
struct State {
    ring: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// All entries after this revision are in the ring.
    floor: Revision,
    /// Everything up to this revision was put there.
    position: Revision,
    /// Reports of progress that have come.
    reports: u64,
    ended: Option<Error>,
    readers: HashMap<u64, Reader>,
    next_reader: u64,
}

#[derive(Debug)]
struct Reader {
    wake: Arc<Wake>,
    /// What the reader calls itself.
    key: u64,
    /// It was told that there is something, and has not read that yet.
    told: bool,
}

/// Wakes a client's session, and says for which of its subscriptions.
#[derive(Debug, Default)]
pub(super) struct Wake {
    notify: Notify,
    keys: Mutex<Vec<u64>>,
}

impl Wake {
    pub(super) fn wake(&self, key: u64) {
        self.keys.lock().push(key);
        self.notify.notify_one();
    }

    pub(super) async fn notified(&self) {
        self.notify.notified().await;
    }

    pub(super) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.keys.lock())
    }
}

/// What a reader finds.
#[derive(Debug)]
pub(super) enum Found {
    /// The next entry.
    Entry(Arc<Entry>),
    /// Nothing more than everything up to a revision; and how many reports of progress have come.
    Nothing(Revision, u64),
    /// What comes next is not kept any more.
    Lost,
    /// The watch has ended.
    Ended(Error),
}

impl Feed {
    /// Opens the feed that others of the same shape share, from now on.
    pub(super) async fn shared(feeds: &Feeds, store: &dyn Store, shape: Shape) -> crate::Result<Arc<Self>> {
        let stream = store.watch(shape.from(None)).await?;
        let position = stream.revision();
        let feed = Self::start(stream, position, SHARED, true);
        feeds.insert(shape, &feed);
        Ok(feed)
    }

    /// Opens a feed for one client that begins in the past; answers with it the store's revision.
    pub(super) async fn private(
        store: &dyn Store,
        shape: &Shape,
        from: Revision,
    ) -> crate::Result<(Arc<Self>, Revision)> {
        let stream = store.watch(shape.from(Some(from))).await?;
        let now = stream.revision();
        Ok((Self::start(stream, from - 1, PRIVATE, false), now))
    }

    fn start(stream: WatchStream, position: Revision, limits: Limits, is_shared: bool) -> Arc<Self> {
        let feed = Arc::new(Self {
            state: Mutex::new(State::at(position)),
            room: Arc::default(),
            limits,
            is_shared,
            // One that begins ahead of the store finds that there is nothing as soon as it looks.
            is_behind: AtomicBool::new(!is_shared),
            progress: stream.progress(),
            reading: Mutex::default(),
        });
        let reading = tokio::spawn(read(Arc::downgrade(&feed), stream));
        *feed.reading.lock() = Some(AbortOnDropHandle::new(reading));
        feed
    }

    /// Whether the store is to wait for its client, which falls behind then.
    fn is_full(&self) -> bool {
        let is_full = !self.is_shared && self.state.lock().is_over(self.limits);
        if is_full {
            self.is_behind.store(true, Ordering::Relaxed);
        }
        is_full
    }

    /// Notes that the store has nothing more for now.
    fn catch_up(&self) {
        if self.is_behind.swap(false, Ordering::Relaxed) {
            self.state.lock().tell();
        }
    }

    /// Takes what was read; answers whether that was the last.
    fn put(&self, batch: Batch) -> bool {
        let Batch { responses, then } = batch;
        let entry = match (self.is_shared, responses.len()) {
            (_, 0) => None,
            (true, _) => responses.into_iter().next().map(Entry::of_one),
            (false, _) => Some(Entry::of_several(responses)),
        };
        let mut state = self.state.lock();
        entry.into_iter().for_each(|entry| state.push(entry));
        match &then {
            Then::Nothing | Then::More => {}
            // A report that says nothing new is only counted.
            Then::Report(revision) => {
                state.reports += 1;
                state.position = state.position.max(*revision);
            }
            Then::Ended(error) => state.ended = Some(error.clone()),
        }
        while self.is_shared && state.is_over(self.limits) {
            state.drop_first();
        }
        state.tell();
        matches!(then, Then::Ended(_))
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether its client is still told what is not new: of a feed that is shared it never is.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Everything up to this revision was read from the store.
    pub(super) fn position(&self) -> Revision {
        self.state.lock().position
    }

    /// Whether a reader that has seen everything up to `revision` can go on here, without going back.
    pub(super) fn has_after(&self, revision: Revision) -> bool {
        let state = self.state.lock();
        (state.floor..=state.position).contains(&revision)
    }

    /// Asks for a report of progress; answers how many there will be when it has come.
    pub(super) fn ask(&self) -> u64 {
        let awaited = self.state.lock().reports + 1;
        self.progress.request();
        awaited
    }

    /// Adds a reader that is told, as `key`, when there is something.
    pub(super) fn add_reader(&self, wake: Arc<Wake>, key: u64) -> u64 {
        let mut state = self.state.lock();
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, Reader { wake, key, told: false });
        id
    }

    pub(super) fn remove_reader(&self, id: u64) {
        self.state.lock().readers.remove(&id);
    }

    /// What follows after `position`.
    pub(super) fn after(&self, reader: u64, position: Revision) -> Found {
        let mut state = self.state.lock();
        if position < state.floor {
            return Found::Lost;
        }
        if !self.is_shared {
            state.drop_to(position);
            self.room.notify_one();
        }
        // Revisions rise in the ring, a report of progress may repeat the last one and is not kept.
        let at = state.ring.partition_point(|entry| entry.revision <= position);
        if let Some(entry) = state.ring.get(at) {
            return Found::Entry(entry.clone());
        }
        if let Some(error) = &state.ended {
            return Found::Ended(error.clone());
        }
        if let Some(reader) = state.readers.get_mut(&reader) {
            reader.told = false;
        }
        Found::Nothing(state.position, state.reports)
    }
}

impl State {
    fn at(position: Revision) -> Self {
        Self {
            ring: VecDeque::new(),
            bytes: 0,
            floor: position,
            position,
            reports: 0,
            ended: None,
            readers: HashMap::new(),
            next_reader: 0,
        }
    }

    fn push(&mut self, entry: Entry) {
        self.position = entry.revision;
        self.bytes += entry.cost();
        self.ring.push_back(Arc::new(entry));
    }

    fn is_over(&self, limits: Limits) -> bool {
        self.bytes > limits.bytes || self.ring.len() > limits.entries
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.ring.pop_front() {
            self.bytes -= first.cost();
            self.floor = first.revision;
        }
    }

    fn drop_to(&mut self, revision: Revision) {
        while self.ring.front().is_some_and(|first| first.revision <= revision) {
            self.drop_first();
        }
    }

    fn tell(&mut self) {
        for reader in self.readers.values_mut().filter(|reader| !reader.told) {
            reader.told = true;
            reader.wake.wake(reader.key);
        }
    }
}

/// What was read from the store at once.
#[derive(Debug)]
struct Batch {
    responses: Vec<WatchResponse>,
    then: Then,
}

/// What follows events.
#[derive(Debug)]
enum Then {
    /// The store has no more.
    Nothing,
    /// It may have more.
    More,
    /// A report of progress, up to a revision.
    Report(Revision),
    /// The end.
    Ended(Error),
}

impl Batch {
    /// Takes what there is behind the first, up to a limit.
    fn take(stream: &mut WatchStream, first: Option<crate::Result<WatchResponse>>, limits: Limits) -> Self {
        let (mut responses, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        let then = loop {
            match next {
                None => break Then::Nothing,
                Some(Some(Ok(report))) if report.events.is_empty() => break Then::Report(report.revision),
                Some(Some(Ok(response))) => {
                    bytes += response.events.iter().map(size).sum::<usize>();
                    responses.push(response);
                }
                Some(Some(Err(error))) => break Then::Ended(error),
                Some(None) => break Then::Ended(Error::closed()),
            }
            if bytes >= limits.bytes || responses.len() >= limits.entries {
                break Then::More;
            }
            next = stream.next().now_or_never();
        };
        Self { responses, then }
    }
}

fn size(event: &Event) -> usize {
    event.kv.bytes() + event.prev.as_ref().map_or(0, |kv| kv.bytes())
}

/// Reads the store's events into a feed for as long as somebody has it.
async fn read(feed: Weak<Feed>, mut stream: WatchStream) {
    loop {
        let first = match stream.next().now_or_never() {
            Some(first) => first,
            None => {
                let Some(feed) = feed.upgrade() else { return };
                feed.catch_up();
                drop(feed);
                stream.next().await
            }
        };
        let Some(feed) = feed.upgrade() else { return };
        let batch = Batch::take(&mut stream, first, if feed.is_shared { ONE } else { BATCH });
        if feed.put(batch) {
            return;
        }
        // Nobody may be there any more when there is room, so the feed is not held meanwhile.
        let (room, kept) = (feed.room.clone(), Arc::downgrade(&feed));
        drop(feed);
        while kept.upgrade().is_some_and(|feed| feed.is_full()) {
            room.notified().await;
        }
    }
}
