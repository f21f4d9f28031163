//! One watch.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::Stream;

use super::Shared;
use super::hub::Due;
use crate::mvcc::State;
use crate::{Error, Event, Result, Revision, WatchProgress, WatchRequest, WatchResponse, WatchStream};

/// Starts a watch.
pub(super) fn start(shared: &Arc<Shared>, request: WatchRequest) -> Result<WatchStream> {
    let state = shared.state.read();
    let visible = state.visible();
    let start = request.start_revision.filter(|r| *r > 0).unwrap_or(visible + 1);
    if start < state.compacted() {
        return Err(Error::Compacted { compacted: state.compacted() });
    }
    let bare = state.compacted();
    let id = shared.hub.lock().add(&request, start, visible);
    drop(state);
    if request.progress_notify {
        shared.upkeep.notify_one();
    }
    let weak = Arc::downgrade(shared);
    let progress = WatchProgress::new(move || {
        if let Some(shared) = weak.upgrade()
            && let Some(waker) = { shared.hub.lock().ask_progress(id) }
        {
            waker.wake();
        }
    });
    let watcher = Watcher { shared: shared.clone(), id, request, bare, ready: VecDeque::new(), ended: false };
    Ok(WatchStream::new(visible, progress, watcher))
}

/// The stream behind a watch.
struct Watcher {
    shared: Arc<Shared>,
    id: u64,
    request: WatchRequest,
    /// Where history started when the watch did: what was before that revision cannot be told, though it may still be known
    /// until the store is opened again.
    bare: Revision,
    /// Taken out of the log and not yet read.
    ready: VecDeque<WatchResponse>,
    ended: bool,
}

impl Watcher {
    fn pull(&mut self, waker: &Waker) -> Result<Poll<()>> {
        // Holding the state while looking into the hub keeps `visible` and what is pending in step.
        let shared = self.shared.clone();
        let state = shared.state.read();
        let due = shared.hub.lock().take(self.id, waker, state.visible());
        match due {
            Due::Nothing => return Ok(Poll::Pending),
            Due::Closed => return Err(Error::closed()),
            Due::Progress => {
                self.ready.push_back(WatchResponse { revision: state.visible(), events: Vec::new() })
            }
            Due::Events(from) => {
                if let Some(rest) = self.collect(&state, from)? {
                    shared.hub.lock().put_back(self.id, rest);
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Takes events from `from` on; answers where it stopped if that is before the end.
    fn collect(&mut self, state: &State, from: Revision) -> Result<Option<Revision>> {
        /// Revisions to look through at once, matching or not.
        const LOOK: i64 = 4096;
        if from < state.compacted() {
            return Err(Error::Compacted { compacted: state.compacted() });
        }
        let mut bytes = 0;
        for revision in from..=state.visible() {
            if bytes >= self.shared.config.watch_batch_bytes || revision - from >= LOOK {
                return Ok(Some(revision));
            }
            let all = state.events(revision).unwrap_or_default();
            let events: Vec<_> = all.iter().filter_map(|event| self.select(event)).collect();
            if !events.is_empty() {
                bytes += events.iter().map(cost).sum::<usize>();
                self.ready.push_back(WatchResponse { revision, events });
            }
        }
        Ok(None)
    }

    fn select(&self, event: &Event) -> Option<Event> {
        if !self.request.filter.admits(event.kind) || !self.request.range.contains(&event.kv.key) {
            return None;
        }
        let tells = self.request.prev_kv && event.kv.mod_revision > self.bare;
        let prev = if tells { event.prev.clone() } else { None };
        Some(Event { kind: event.kind, kv: event.kv.clone(), prev })
    }
}

fn cost(event: &Event) -> usize {
    event.kv.bytes() + event.prev.as_ref().map_or(0, |kv| kv.bytes()) + size_of::<Event>()
}

impl Stream for Watcher {
    type Item = Result<WatchResponse>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(response) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(response)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.pull(cx.waker()) {
                Ok(Poll::Ready(())) => {}
                Ok(Poll::Pending) => return Poll::Pending,
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.hub.lock().remove(self.id);
    }
}
