//! One gRPC stream carries many watches.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::convert;
use super::r#gen::etcdserverpb as pb;
use crate::{Error, Event, Revision, Store, WatchProgress, WatchResponse, WatchStream};

/// What a client reads.
pub(super) type Responses = ReceiverStream<Result<pb::WatchResponse, Status>>;

type Sender = mpsc::Sender<Result<pb::WatchResponse, Status>>;

/// Responses that wait for the client; a watch behind a full queue waits too, and is cut when compaction overtakes it.
const QUEUE: usize = 16;

/// Largest response to a client that asked for fragments.
const FRAGMENT: usize = 1 << 20;

/// Serves the watches that `requests` create, until the client goes away.
pub(super) fn serve(store: Arc<dyn Store>, mut requests: Streaming<pb::WatchRequest>) -> Responses {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut session = Session { store, sender: sender.clone(), watches: HashMap::new(), next_id: 0 };
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = sender.closed() => return,
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
        sender.closed().await;
    });
    ReceiverStream::new(receiver)
}

/// All watches of one stream.
struct Session {
    store: Arc<dyn Store>,
    sender: Sender,
    watches: HashMap<i64, Running>,
    next_id: i64,
}

struct Running {
    task: AbortOnDropHandle<()>,
    progress: WatchProgress,
}

impl Session {
    /// Does one request; answers `None` when the client is gone.
    async fn handle(&mut self, request: pb::WatchRequest) -> Option<()> {
        use pb::watch_request::RequestUnion;
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id).await,
            Some(RequestUnion::ProgressRequest(_)) => {
                self.watches.values().for_each(|watch| watch.progress.request());
                Some(())
            }
            None => Some(()),
        }
    }

    async fn create(&mut self, create: pb::WatchCreateRequest) -> Option<()> {
        let (asked, fragment) = (create.watch_id, create.fragment);
        if asked != 0 && self.watches.contains_key(&asked) {
            let reason = "mvcc: duplicate watch ID provided on the WatchStream".to_owned();
            let refusal = pb::WatchResponse {
                created: true,
                canceled: true,
                cancel_reason: reason,
                ..closed(-1, None)
            };
            return self.send(refusal).await;
        }
        let id = if asked == 0 { self.free_id() } else { asked };
        let created = self.store.watch(convert::watch_request(create)).await;
        let revision = match &created {
            Ok(stream) => stream.revision(),
            Err(_) => self.store.status().await.map_or(0, |status| status.revision),
        };
        self.send(pb::WatchResponse {
            created: true,
            watch_id: id,
            header: convert::header(revision),
            ..Default::default()
        })
        .await?;
        match created {
            Ok(stream) => {
                let progress = stream.progress();
                let task = tokio::spawn(forward(stream, id, fragment, self.sender.clone()));
                self.watches.insert(id, Running { task: AbortOnDropHandle::new(task), progress });
                Some(())
            }
            Err(error) => self.send(closed(id, Some((error, revision)))).await,
        }
    }

    async fn cancel(&mut self, id: i64) -> Option<()> {
        let Some(watch) = self.watches.remove(&id) else { return Some(()) };
        watch.task.abort();
        // Nothing of it may follow the answer.
        let _ = watch.task.await;
        let revision = self.store.status().await.map_or(0, |status| status.revision);
        self.send(pb::WatchResponse { header: convert::header(revision), ..closed(id, None) }).await
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
fn closed(watch_id: i64, why: Option<(Error, Revision)>) -> pb::WatchResponse {
    let mut response = pb::WatchResponse { watch_id, canceled: true, ..Default::default() };
    if let Some((error, revision)) = why {
        response.header = convert::header(revision);
        if let Error::Compacted { compacted } = error {
            response.compact_revision = compacted;
        }
        response.cancel_reason = convert::status(error).message().to_owned();
    }
    response
}

/// Passes on everything that a watch reports.
async fn forward(mut stream: WatchStream, id: i64, fragment: bool, sender: Sender) {
    let mut revision = stream.revision();
    while let Some(response) = stream.next().await {
        match response {
            Ok(response) => {
                revision = response.revision;
                for part in parts(response, id, if fragment { FRAGMENT } else { usize::MAX }) {
                    if sender.send(Ok(part)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                // The client may be gone, which ends the watch as well.
                let _ = sender.send(Ok(closed(id, Some((error, revision))))).await;
                return;
            }
        }
    }
}

/// Splits a response so that each part but a single large event is under `limit` bytes; all but the last say so.
fn parts(response: WatchResponse, id: i64, limit: usize) -> Vec<pb::WatchResponse> {
    let header = convert::header(response.revision);
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
