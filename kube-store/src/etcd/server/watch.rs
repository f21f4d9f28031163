//! One gRPC stream carries many watches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::auth::{Access, Guard};
use super::convert;
use super::etcd_server::{EtcdServer, no_leader};
use super::group::{Group, Stamp};
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{Error, Event, Revision, WatchProgress, WatchResponse, WatchStream};

/// What a client reads.
pub(super) type Responses = ReceiverStream<Result<pb::WatchResponse, Status>>;

type Sender = mpsc::Sender<Result<pb::WatchResponse, Status>>;

/// Responses that wait for the client; a watch behind a full queue waits too, and is cut when compaction overtakes it.
const QUEUE: usize = 16;

/// What stands for a watch that there is none, or for all.
const NO_WATCH: i64 = -1;

/// Largest response to a client that asked for fragments.
const FRAGMENT: usize = 1 << 20;

/// Serves the watches that `requests` create, until the client goes away.
pub(super) fn serve(
    server: EtcdServer,
    guard: Guard,
    mut requests: Streaming<pb::WatchRequest>,
) -> Responses {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut session = Session {
            server,
            guard,
            sender: sender.clone(),
            watches: HashMap::new(),
            next_id: 0,
            asked: Arc::default(),
        };
        let shutdown = session.server.shutdown.clone();
        let (group, wants_leader) = (session.server.group.clone(), session.guard.wants_leader());
        let mut leaderless = std::pin::pin!(async {
            match wants_leader {
                true => group.lose_leader().await,
                false => std::future::pending().await,
            }
        });
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = sender.closed() => return,
                () = shutdown.cancelled() => return,
                () = &mut leaderless => {
                    // The client looks for a member that has one.
                    let _ = sender.send(Err(no_leader())).await;
                    return;
                }
            };
            match request {
                Ok(Some(request)) => {
                    if session.handle(request).await.is_none() {
                        return;
                    }
                }
                // A client that sends no more may still read.
                Ok(None) => break,
                Err(_) => return,
            }
        }
        tokio::select! {
            () = sender.closed() => {}
            () = shutdown.cancelled() => {}
        }
    });
    ReceiverStream::new(receiver)
}

/// All watches of one stream.
struct Session {
    server: EtcdServer,
    guard: Guard,
    sender: Sender,
    /// By number; `None` for one that ended at once. One that ended by itself keeps its number until it is cancelled.
    watches: HashMap<i64, Option<Running>>,
    next_id: i64,
    asked: Arc<Mutex<Asked>>,
}

struct Running {
    task: AbortOnDropHandle<()>,
    progress: WatchProgress,
}

/// Whose reports of progress the answer to the client's last request waits for. The answer is one for the whole stream and
/// says that all its watches have reported everything up to its revision.
#[derive(Debug, Default)]
struct Asked {
    waiting: HashSet<i64>,
    /// Watches that ended by themselves and will not report.
    ended: HashSet<i64>,
    /// The least that was reported.
    revision: Revision,
}

impl Asked {
    /// Takes the report of a watch, or that it has ended; answers the revision to tell when it was the last.
    fn reported(&mut self, id: i64, revision: Revision) -> Option<Revision> {
        if !self.waiting.remove(&id) {
            return None;
        }
        self.revision = self.revision.min(revision);
        self.waiting.is_empty().then_some(self.revision)
    }
}

/// The response that is about all watches of a stream.
fn progress_of_all(stamp: Stamp, revision: Revision) -> pb::WatchResponse {
    pb::WatchResponse { header: stamp.header(revision), watch_id: NO_WATCH, ..Default::default() }
}

/// Why a watch cannot be made, before the store is asked.
fn refusal(create: &pb::WatchCreateRequest, watches: &HashMap<i64, Option<Running>>) -> Option<&'static str> {
    let (key, end) = (create.key.as_ref(), create.range_end.as_ref());
    if !matches!(end, [] | [0]) && key >= end {
        return Some("mvcc: watcher range is empty");
    }
    let taken = create.watch_id != 0 && watches.contains_key(&create.watch_id);
    taken.then_some("mvcc: duplicate watch ID provided on the WatchStream")
}

impl Session {
    /// Does one request; answers `None` when the client is gone.
    async fn handle(&mut self, request: pb::WatchRequest) -> Option<()> {
        use pb::watch_request::RequestUnion;
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id).await,
            Some(RequestUnion::ProgressRequest(_)) => self.progress().await,
            None => Some(()),
        }
    }

    async fn create(&mut self, mut create: pb::WatchCreateRequest) -> Option<()> {
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
        let fragment = create.fragment;
        let created = self.server.store.watch(convert::watch_request(create)).await;
        let revision = match &created {
            Ok(stream) => stream.revision(),
            Err(_) => self.revision().await,
        };
        let header = self.stamp().header(revision);
        self.send(pb::WatchResponse { created: true, watch_id: id, header, ..Default::default() }).await?;
        match created {
            Ok(stream) => {
                let progress = stream.progress();
                let reports = Reports {
                    id,
                    fragment,
                    group: self.server.group.clone(),
                    sender: self.sender.clone(),
                    asked: self.asked.clone(),
                };
                let task = AbortOnDropHandle::new(tokio::spawn(reports.forward(stream)));
                self.watches.insert(id, Some(Running { task, progress }));
                Some(())
            }
            Err(error) => {
                self.watches.insert(id, None);
                self.send(closed(self.stamp(), id, Some(error))).await
            }
        }
    }

    /// What the caller may is looked at for each watch anew, since the stream may last long.
    async fn permit(&self, create: &pb::WatchCreateRequest) -> Result<(), Status> {
        self.guard.caller().await?.require(Access::Read, &create.key, &create.range_end)
    }

    async fn refuse(&self, watch_id: i64, reason: &str) -> Option<()> {
        let header = self.stamp().header(self.revision().await);
        let cancel_reason = reason.to_owned();
        let closed = closed(self.stamp(), watch_id, None);
        self.send(pb::WatchResponse { created: true, header, cancel_reason, ..closed }).await
    }

    async fn cancel(&mut self, id: i64) -> Option<()> {
        let Some(watch) = self.watches.remove(&id) else { return Some(()) };
        if let Some(watch) = watch {
            watch.task.abort();
            // Nothing of it may follow the answer.
            let _ = watch.task.await;
        }
        let revision = self.revision().await;
        let header = self.stamp().header(revision);
        self.send(pb::WatchResponse { header, ..closed(self.stamp(), id, None) }).await?;
        let last = {
            let mut asked = self.asked.lock();
            asked.ended.remove(&id);
            asked.reported(id, revision)
        };
        match last {
            Some(revision) => self.send(progress_of_all(self.stamp(), revision)).await,
            None => Some(()),
        }
    }

    async fn progress(&mut self) -> Option<()> {
        let waiting = {
            // Under the lock, since a watch that ends says so under it.
            let mut asked = self.asked.lock();
            let waiting = self.running().map(|(id, _)| id).filter(|id| !asked.ended.contains(id)).collect();
            (asked.waiting, asked.revision) = (waiting, Revision::MAX);
            !asked.waiting.is_empty()
        };
        if !waiting {
            return self.send(progress_of_all(self.stamp(), self.revision().await)).await;
        }
        self.running().for_each(|(_, watch)| watch.progress.request());
        Some(())
    }

    fn running(&self) -> impl Iterator<Item = (i64, &Running)> {
        self.watches.iter().filter_map(|(id, watch)| Some((*id, watch.as_ref()?)))
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

    async fn send(&self, response: pb::WatchResponse) -> Option<()> {
        self.sender.send(Ok(response)).await.ok()
    }
}

/// The last response of a watch.
fn closed(stamp: Stamp, watch_id: i64, why: Option<Error>) -> pb::WatchResponse {
    let mut response = pb::WatchResponse { watch_id, canceled: true, ..Default::default() };
    match why {
        // etcd says neither its revision nor the reason, which the revision is.
        Some(Error::Compacted { compacted }) => {
            response.header = stamp.header(0);
            response.compact_revision = compacted;
        }
        Some(error) => {
            response.header = stamp.header(0);
            response.cancel_reason = convert::status(error).message().to_owned();
        }
        None => {}
    }
    response
}

/// Where the reports of one watch go.
struct Reports {
    id: i64,
    fragment: bool,
    group: Group,
    sender: Sender,
    asked: Arc<Mutex<Asked>>,
}

impl Reports {
    /// Passes on everything that a watch reports.
    async fn forward(self, mut stream: WatchStream) {
        let mut revision = stream.revision();
        while let Some(response) = stream.next().await {
            let sent = match response {
                Ok(response) => {
                    revision = response.revision;
                    self.pass_on(response).await
                }
                Err(error) => {
                    // The client may be gone, which ends the watch as well.
                    let _ = self.sender.send(Ok(closed(self.group.stamp(), self.id, Some(error)))).await;
                    None
                }
            };
            if sent.is_none() {
                break;
            }
        }
        self.asked.lock().ended.insert(self.id);
        // A client that is gone asks no more.
        let _ = self.told(revision).await;
    }

    async fn pass_on(&self, response: WatchResponse) -> Option<()> {
        if response.events.is_empty() && self.asked.lock().waiting.contains(&self.id) {
            return self.told(response.revision).await;
        }
        for part in
            parts(self.group.stamp(), response, self.id, if self.fragment { FRAGMENT } else { usize::MAX })
        {
            self.sender.send(Ok(part)).await.ok()?;
        }
        Some(())
    }

    /// Answers the client's request for progress if this was the last watch it waited for.
    async fn told(&self, revision: Revision) -> Option<()> {
        let last = self.asked.lock().reported(self.id, revision);
        match last {
            Some(revision) => {
                let all = progress_of_all(self.group.stamp(), revision);
                self.sender.send(Ok(all)).await.ok()
            }
            None => Some(()),
        }
    }
}

/// Splits a response so that each part but a single large event is under `limit` bytes; all but the last say so.
fn parts(stamp: Stamp, response: WatchResponse, id: i64, limit: usize) -> Vec<pb::WatchResponse> {
    let header = stamp.header(response.revision);
    let fresh = || pb::WatchResponse { header, watch_id: id, fragment: true, ..Default::default() };
    let (mut parts, mut part, mut bytes) = (Vec::new(), fresh(), 0usize);
    for event in response.events {
        let size = cost(&event);
        if bytes.saturating_add(size) > limit && !part.events.is_empty() {
            parts.push(std::mem::replace(&mut part, fresh()));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        part.events.push(convert::event(event));
    }
    part.fragment = false;
    parts.push(part);
    parts
}

fn cost(event: &Event) -> usize {
    event.kv.bytes() + event.prev.as_ref().map_or(0, |kv| kv.bytes())
}
