//! All watches of one stream.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tonic::Status;

use super::super::auth::{Access, Guard};
use super::super::convert;
use super::super::etcd_server::EtcdServer;
use super::super::group::Stamp;
use super::super::metrics::Flow;
use super::encode;
use super::feed::{Feed, Shape, Wake};
use super::subscription::{Member, Sent, Subscription};
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::measure::Gauge;
use crate::{Error, RangeRequest, Revision, WatchRequest};

/// By which name messages of watches are counted.
const METHOD: &str = "/etcdserverpb.Watch/Watch";

/// What stands for a watch that there is none, or for all.
const NO_WATCH: i64 = -1;

/// Bytes that are encoded before they are sent.
const ENOUGH: usize = 64 << 10;

/// The watches of a stream, and what it is about to be sent.
pub(super) struct Session<'a> {
    server: &'a EtcdServer,
    guard: Guard,
    pub(super) buffer: BytesMut,
    pub(super) wake: Arc<Wake>,
    /// By number, the subscription; `None` for one that ended. It keeps its number until it is cancelled.
    watches: HashMap<i64, Option<u64>>,
    counted: Watching<'a>,
    /// Counts messages.
    flow: Arc<Flow>,
    subscriptions: HashMap<u64, Subscription>,
    /// Subscriptions that may have something.
    dirty: VecDeque<u64>,
    next_id: i64,
    next_subscription: u64,
    asked: Option<Asked>,
}

/// Whose reports of progress the answer to the client's last request waits for. The answer is one for the whole stream and
/// says that all its watches have reported everything up to its revision.
#[derive(Debug)]
struct Asked {
    /// By subscription, how many reports there will be.
    waiting: HashMap<u64, u64>,
    /// The store's revision when the client asked: a report that was on its way already may be of an earlier one.
    asked_at: Revision,
    /// The least that was reported.
    revision: Revision,
}

/// How many of a stream's watches have not ended, among all of the server.
struct Watching<'a> {
    all: &'a Gauge,
    here: i64,
}

impl Watching<'_> {
    fn add(&mut self, amount: i64) {
        self.here += amount;
        self.all.add(amount);
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.all.add(-self.here);
    }
}

/// Where a new watch begins.
struct Start {
    feed: Arc<Feed>,
    /// Everything up to this revision is behind it.
    position: Revision,
    /// The first revision that it wants.
    from: Revision,
    /// The store's revision.
    now: Revision,
}

impl<'a> Session<'a> {
    pub(super) fn new(server: &'a EtcdServer, guard: Guard) -> Self {
        Self {
            server,
            guard,
            buffer: BytesMut::new(),
            wake: Arc::default(),
            watches: HashMap::new(),
            counted: Watching { all: &server.metrics.watchers, here: 0 },
            flow: server.metrics.calls.flow(METHOD).unwrap_or_default(),
            subscriptions: HashMap::new(),
            dirty: VecDeque::new(),
            next_id: 0,
            next_subscription: 0,
            asked: None,
        }
    }

    /// Encodes what the watches have to report; answers whether that was all.
    pub(super) async fn collect(&mut self) -> bool {
        self.dirty.extend(self.wake.take());
        while let Some(key) = self.dirty.pop_front() {
            let Some(subscription) = self.subscriptions.get_mut(&key) else { continue };
            let asked = self.asked.as_ref().is_some_and(|asked| asked.waiting.contains_key(&key));
            let sent = subscription.send(&self.server.group, asked, &mut self.buffer, ENOUGH);
            self.server.metrics.events.add(std::mem::take(&mut subscription.events));
            self.flow.sent.add(std::mem::take(&mut subscription.responses));
            match sent {
                Sent::Full => {
                    // The others have their turn first.
                    self.dirty.push_back(key);
                    return false;
                }
                Sent::Part => {
                    self.dirty.push_front(key);
                    return false;
                }
                Sent::All(reports) => {
                    let revision = subscription.position;
                    self.reported(key, revision, Some(reports));
                    self.catch_up(key);
                }
                Sent::Lost => self.go_back(key).await,
                Sent::Ended(error) => self.end(key, &error),
            }
        }
        true
    }

    /// Lets a subscription share a feed again; not while a report of the one that it has is waited for.
    fn catch_up(&mut self, key: u64) {
        if self.asked.is_none()
            && let Some(subscription) = self.subscriptions.get_mut(&key)
        {
            subscription.catch_up(&self.server.feeds);
        }
    }

    /// Lets a subscription read what its feed has forgotten.
    async fn go_back(&mut self, key: u64) {
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return };
        if let Err(error) = subscription.go_back(&*self.server.store).await {
            return self.end(key, &error);
        }
        if let Some(awaited) = self.asked.as_mut().and_then(|asked| asked.waiting.get_mut(&key)) {
            *awaited = subscription.feed().ask();
        }
    }

    /// Does what the client asks for.
    pub(super) async fn handle(&mut self, request: pb::WatchRequest) {
        self.flow.received.add(1);
        use pb::watch_request::RequestUnion;
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id).await,
            Some(RequestUnion::ProgressRequest(_)) => self.progress().await,
            None => {}
        }
    }

    async fn create(&mut self, mut create: pb::WatchCreateRequest) {
        if create.key.is_empty() {
            create.key = Bytes::from_static(&[0]);
        }
        if let Err(status) = self.permit(&create).await {
            // The form in which etcd, and Go, print a status.
            let reason = format!("rpc error: code = {:?} desc = {}", status.code(), status.message());
            return self.refuse(create.watch_id, &reason).await;
        }
        if let Some(reason) = refusal(&create, &self.watches) {
            return self.refuse(NO_WATCH, reason).await;
        }
        let id = if create.watch_id == 0 { self.free_id() } else { create.watch_id };
        let largest = if create.fragment { self.server.config.largest_message() } else { usize::MAX };
        let request = convert::watch_request(create);
        let start = self.start(&request).await;
        let now = match &start {
            Ok(start) => start.now,
            Err(_) => self.revision().await,
        };
        let header = self.stamp().header(now);
        self.put(&pb::WatchResponse { created: true, watch_id: id, header, ..Default::default() });
        match start {
            Ok(start) => {
                let member = Member { id, from: start.from, largest };
                let key = self.subscribe(Shape::of(&request), start, member);
                self.watches.insert(id, Some(key));
                self.counted.add(1);
            }
            Err(error) => {
                self.watches.insert(id, None);
                self.put(&closed(self.stamp(), id, Some(&error)));
            }
        }
    }

    /// What the caller may is looked at for each watch anew, since the stream may last long.
    async fn permit(&self, create: &pb::WatchCreateRequest) -> Result<(), Status> {
        self.guard.caller().await?.require(Access::Read, &create.key, &create.range_end)
    }

    /// Finds the feed for a watch. Who begins in the past gets one alone, until it has caught up; so does who begins in the
    /// future, since others hear of progress before.
    async fn start(&self, request: &WatchRequest) -> crate::Result<Start> {
        let store = &*self.server.store;
        let wanted = request.start_revision.filter(|revision| *revision > 0);
        let shape = Shape::of(request);
        let found = self.server.feeds.find(&shape);
        let now = match (&found, wanted) {
            // It is told by the watch that has to be made.
            (None, None) => 0,
            // Who says where to begin hears what this member has, also while nobody leads.
            (_, Some(_)) => store.status().await?.revision,
            (Some(_), None) => store.range(RangeRequest::key(&b"\0"[..]).count_only()).await?.revision,
        };
        if let Some(from) = wanted.filter(|from| *from != now + 1) {
            let (feed, now) = Feed::private(store, &shape, from).await?;
            return Ok(Start { feed, position: from - 1, from, now });
        }
        let feed = match found {
            Some(feed) => feed,
            None => Feed::shared(&self.server.feeds, store, shape.clone()).await?,
        };
        // What the feed has had by now is seen by everybody, so it may as well be the moment of the call.
        let position = feed.position();
        let now = now.max(position);
        match wanted {
            Some(from) if from <= position => {
                let (feed, now) = Feed::private(store, &shape, from).await?;
                Ok(Start { feed, position: from - 1, from, now })
            }
            wanted => Ok(Start { feed, position, from: wanted.unwrap_or(now + 1), now }),
        }
    }

    /// Adds a watch to those that read the same, if there are any.
    fn subscribe(&mut self, shape: Shape, start: Start, member: Member) -> u64 {
        let Start { feed, position, .. } = start;
        let same = self.subscriptions.iter_mut().find(|(_, subscription)| {
            Arc::ptr_eq(subscription.feed(), &feed) && subscription.position < member.from
        });
        if let Some((key, subscription)) = same {
            subscription.add(member);
            return *key;
        }
        let key = self.next_subscription;
        self.next_subscription += 1;
        let metrics = self.server.metrics.clone();
        let mut subscription = Subscription::new(shape, feed, position, self.wake.clone(), key, metrics);
        subscription.add(member);
        self.subscriptions.insert(key, subscription);
        self.dirty.push_back(key);
        key
    }

    async fn refuse(&mut self, watch_id: i64, reason: &str) {
        let header = self.stamp().header(self.revision().await);
        let cancel_reason = reason.to_owned();
        let closed = closed(self.stamp(), watch_id, None);
        self.put(&pb::WatchResponse { created: true, header, cancel_reason, ..closed });
    }

    async fn cancel(&mut self, id: i64) {
        let Some(key) = self.watches.remove(&id) else { return };
        self.counted.add(if key.is_some() { -1 } else { 0 });
        let revision = self.revision().await;
        let header = self.stamp().header(revision);
        self.put(&pb::WatchResponse { header, ..closed(self.stamp(), id, None) });
        if let Some(key) = key
            && self.subscriptions.get_mut(&key).is_some_and(|subscription| subscription.remove(id))
        {
            self.subscriptions.remove(&key);
            self.reported(key, revision, None);
        }
    }

    async fn progress(&mut self) {
        let asked_at = self.revision().await;
        // Subscriptions to one feed share a report.
        let mut feeds = HashMap::new();
        let mut waiting = HashMap::new();
        for (key, subscription) in &self.subscriptions {
            let feed = subscription.feed();
            waiting.insert(*key, *feeds.entry(Arc::as_ptr(feed)).or_insert_with(|| feed.ask()));
        }
        if waiting.is_empty() {
            return self.put(&progress_of_all(self.stamp(), asked_at));
        }
        self.asked = Some(Asked { waiting, asked_at, revision: Revision::MAX });
    }

    /// A subscription has sent everything up to a revision, after so many reports; or it is gone.
    fn reported(&mut self, key: u64, revision: Revision, reports: Option<u64>) {
        let Some(asked) = &mut self.asked else { return };
        let Some(awaited) = asked.waiting.get(&key) else { return };
        if reports.is_some_and(|reports| reports < *awaited || revision < asked.asked_at) {
            return;
        }
        asked.waiting.remove(&key);
        asked.revision = asked.revision.min(revision);
        if asked.waiting.is_empty() {
            let revision = asked.revision;
            self.asked = None;
            self.put(&progress_of_all(self.stamp(), revision));
        }
    }

    /// Ends the watches of a subscription.
    fn end(&mut self, key: u64, error: &Error) {
        let Some(subscription) = self.subscriptions.remove(&key) else { return };
        for member in &subscription.members {
            self.counted.add(-1);
            self.watches.insert(member.id, None);
            self.put(&closed(self.stamp(), member.id, Some(error)));
        }
        self.reported(key, subscription.position, None);
    }

    async fn revision(&self) -> Revision {
        self.server.store.status().await.map_or(0, |status| status.revision)
    }

    fn stamp(&self) -> Stamp {
        self.server.group.stamp()
    }

    fn free_id(&mut self) -> i64 {
        loop {
            let id = self.next_id;
            self.next_id += 1;
            if !self.watches.contains_key(&id) {
                return id;
            }
        }
    }

    fn put(&mut self, response: &pb::WatchResponse) {
        self.flow.sent.add(1);
        encode::put(&mut self.buffer, response);
    }
}

/// Why a watch cannot be made, before the store is asked.
fn refusal(create: &pb::WatchCreateRequest, watches: &HashMap<i64, Option<u64>>) -> Option<&'static str> {
    let (key, end) = (create.key.as_ref(), create.range_end.as_ref());
    if !matches!(end, [] | [0]) && key >= end {
        return Some("mvcc: watcher range is empty");
    }
    let taken = create.watch_id != 0 && watches.contains_key(&create.watch_id);
    taken.then_some("mvcc: duplicate watch ID provided on the WatchStream")
}

/// The response that is about all watches of a stream.
fn progress_of_all(stamp: Stamp, revision: Revision) -> pb::WatchResponse {
    pb::WatchResponse { header: stamp.header(revision), watch_id: NO_WATCH, ..Default::default() }
}

/// The last response of a watch.
fn closed(stamp: Stamp, watch_id: i64, why: Option<&Error>) -> pb::WatchResponse {
    let mut response = pb::WatchResponse { watch_id, canceled: true, ..Default::default() };
    match why {
        // etcd says neither its revision nor the reason, which the revision is.
        Some(Error::Compacted { compacted }) => {
            response.header = stamp.header(0);
            response.compact_revision = *compacted;
        }
        Some(error) => {
            response.header = stamp.header(0);
            response.cancel_reason = convert::status(error.clone()).message().to_owned();
        }
        None => {}
    }
    response
}
