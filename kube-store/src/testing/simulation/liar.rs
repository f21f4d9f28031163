//! A store that lies, to show that somebody notices.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::{
    Event, EventKind, LeaseRequest, LeaseResponse, Op, OpResult, PutResponse, RangeRequest, RangeResponse,
    Result, Revision, Store, StoreExt, StoreStatus, TxnRequest, TxnResponse, WatchRequest, WatchResponse,
    WatchStream,
};

/// A fault planted between a store and those who use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lie {
    /// A watch reports progress before it tells what happened until then.
    ProgressAhead,
    /// A watch tells again what it told some time ago.
    BackInTime,
    /// A watch tells an event twice.
    Twice,
    /// A watch that is read too slowly loses what waits.
    LoseWhenSlow,
    /// A watch leaves out some event.
    SkipEvent,
    /// A watch that begins where history begins does not tell what was deleted there.
    ForgetDeletes,
    /// Compaction takes deletes from a watch that has not read them yet.
    CompactDeletes,
    /// A watch from a revision that lies ahead begins at once.
    PastForFuture,
    /// A watch from a revision that lies ahead reports progress of now.
    ProgressOfNow,
    /// A read gives what was there one write ago.
    StaleRead,
    /// A write is acknowledged and not done.
    LoseWrite,
    /// A write is answered with the revision of another.
    ReuseRevision,
    /// A read gives a wrong lease.
    WrongLease,
    /// That somebody else changed the records is not noticed.
    OldRecords,
}

/// How many honest acts there are to each lie, where it is not the situation that decides.
const HONEST: u64 = 7;

/// A store with a fault planted; else it does what the store behind it does.
#[derive(Debug)]
pub struct Liar {
    inner: Arc<dyn Store>,
    lie: Lie,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    acts: u64,
    /// Where history begins.
    compacted: Revision,
    /// What was current before the newest write.
    before: Revision,
    newest: Revision,
    records_version: Option<u64>,
}

impl Memory {
    /// Whether it is time to lie.
    fn is_time(&mut self) -> bool {
        self.acts += 1;
        self.acts.is_multiple_of(HONEST)
    }
}

impl Liar {
    /// Lies about `inner`.
    pub fn new(inner: Arc<dyn Store>, lie: Lie) -> Self {
        Self { inner, lie, memory: Arc::default() }
    }

    /// Acknowledges a put that it does not do.
    async fn lose(&self, request: &TxnRequest) -> Result<TxnResponse> {
        let revision = self.inner.revision().await? + 1;
        let put = |_: &Op| OpResult::Put(PutResponse { revision, ..PutResponse::default() });
        let results = request.success.iter().map(put).collect();
        Ok(TxnResponse { revision, succeeded: true, results })
    }
}

fn is_put(request: &TxnRequest) -> bool {
    request.compares.is_empty() && request.success.iter().all(|op| matches!(op, Op::Put(_)))
}

#[async_trait]
impl Store for Liar {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        let before = self.memory.lock().before;
        let is_current = request.revision().is_none();
        if self.lie == Lie::StaleRead && is_current && before > 0 {
            let old = self.inner.range(request.clone().at_revision(before)).await;
            // It may be compacted.
            if old.is_ok() {
                return old;
            }
        }
        let mut response = self.inner.range(request).await?;
        if self.lie == Lie::WrongLease {
            response.kvs.iter_mut().filter(|kv| kv.lease != 0).for_each(|kv| kv.lease += 1);
        }
        Ok(response)
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        if self.lie == Lie::LoseWrite && is_put(&request) && self.memory.lock().is_time() {
            return self.lose(&request).await;
        }
        let mut response = self.inner.txn(request).await?;
        let mut memory = self.memory.lock();
        if response.revision > memory.newest {
            (memory.before, memory.newest) = (response.revision - 1, response.revision);
        }
        if self.lie == Lie::ReuseRevision && memory.is_time() {
            response.revision -= 1;
        }
        Ok(response)
    }

    async fn watch(&self, mut request: WatchRequest) -> Result<WatchStream> {
        let current = self.inner.revision().await?;
        let is_ahead = request.start_revision.is_some_and(|start| start > current + 1);
        if is_ahead && self.lie == Lie::PastForFuture {
            request.start_revision = None;
        }
        let start = request.start_revision;
        let inner = self.inner.watch(request).await?;
        let (revision, progress) = (inner.revision(), inner.progress());
        let compacted = self.memory.lock().compacted;
        let mut told = Twisted {
            inner,
            lie: self.lie,
            memory: self.memory.clone(),
            is_at_compaction: compacted > 0 && start == Some(compacted),
            opened_at: compacted,
            ready: VecDeque::new(),
            earlier: VecDeque::new(),
        };
        if is_ahead && self.lie == Lie::ProgressOfNow {
            told.ready.push_back(Ok(WatchResponse { revision: current, events: Vec::new() }));
        }
        Ok(WatchStream::new(revision, progress, told))
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.inner.compact(revision).await?;
        let mut memory = self.memory.lock();
        memory.compacted = memory.compacted.max(revision);
        Ok(())
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        self.inner.lease(request).await
    }

    async fn records(&self, changes: Vec<(Bytes, Option<Bytes>)>) -> Result<BTreeMap<Bytes, Bytes>> {
        self.inner.records(changes).await
    }

    fn records_version(&self) -> u64 {
        let version = self.inner.records_version();
        match self.lie {
            Lie::OldRecords => *self.memory.lock().records_version.get_or_insert(version),
            _ => version,
        }
    }

    async fn status(&self) -> Result<StoreStatus> {
        self.inner.status().await
    }
}

/// A watch that lies.
struct Twisted {
    inner: WatchStream,
    lie: Lie,
    memory: Arc<Mutex<Memory>>,
    /// Whether it begins where history did when it was opened.
    is_at_compaction: bool,
    /// Where history began when it was opened.
    opened_at: Revision,
    ready: VecDeque<Result<WatchResponse>>,
    /// What it told last.
    earlier: VecDeque<WatchResponse>,
}

/// What a slow reader may leave, before it is lost.
const KEPT: usize = 3;

impl Twisted {
    /// Makes of one response what is told instead.
    fn twist(&mut self, mut response: WatchResponse) {
        if response.events.is_empty() {
            return self.ready.push_back(Ok(response));
        }
        let (compacted, is_time) = {
            let mut memory = self.memory.lock();
            (memory.compacted, memory.is_time())
        };
        let revision = response.revision;
        match self.lie {
            Lie::ProgressAhead if is_time => {
                self.ready.push_back(Ok(WatchResponse { revision, events: Vec::new() }));
            }
            Lie::Twice if is_time => response.events.extend_from_within(..1),
            Lie::SkipEvent if is_time => return,
            Lie::ForgetDeletes if self.is_at_compaction && revision == compacted => {
                forget(&mut response.events)
            }
            Lie::CompactDeletes if compacted > self.opened_at && revision == compacted => {
                forget(&mut response.events);
            }
            _ => {}
        }
        self.earlier.push_back(response.clone());
        if !response.events.is_empty() {
            self.ready.push_back(Ok(response));
        }
        if self.earlier.len() > KEPT
            && let Some(old) = self.earlier.pop_front()
            && self.lie == Lie::BackInTime
            && is_time
        {
            self.ready.push_back(Ok(old));
        }
    }
}

fn forget(events: &mut Vec<Event>) {
    events.retain(|event| event.kind != EventKind::Delete);
}

impl Stream for Twisted {
    type Item = Result<WatchResponse>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let is_greedy = this.lie == Lie::LoseWhenSlow;
        while this.ready.is_empty() || is_greedy {
            match this.inner.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(response))) => this.twist(response),
                Poll::Ready(last) if this.ready.is_empty() => return Poll::Ready(last),
                Poll::Pending if this.ready.is_empty() => return Poll::Pending,
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        if is_greedy && this.ready.len() > KEPT {
            this.ready.truncate(KEPT);
        }
        Poll::Ready(this.ready.pop_front())
    }
}
