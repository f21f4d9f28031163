//! Makes changes durable: one at a time commits, in one batch and one sync, all that was applied while the one before was
//! busy.
//!
//! Callers evaluate their transactions themselves, under the lock. When nobody is committing, a caller does it itself, on its
//! own thread: handing over to another one and back takes as long as a sync does. It lets other tasks run once before, so that
//! what they have to write goes into the same batch. All that comes meanwhile waits, and is committed by a thread; so a
//! caller does no more than one batch for others.
//!
//! One sync at a time is under way. Two that overlap would help where a sync takes milliseconds: callers that are answered come
//! again while the next sync is already under way, so each is in every second batch only, and with 64 or 300 callers and
//! syncs of 2 to 8 ms the store does 0.45 to 0.49 of what one batch for all would. It is at most a factor of two, then: the
//! frames of the log allow for it (they say up to where it was synced), but answers would have to wait for the end of the
//! earlier write, and a failure of that would have to undo a later one that has succeeded. Where a sync takes 50 to 90 µs the
//! processor is busy all the time, and there is nothing to win.
//!
//! A caller blocks its worker while it commits, as long as a task may, also where that is the only one: what comes meanwhile
//! goes into the next batch together, and changing threads for each commit takes longer. Where the disk takes longer, in a runtime
//! that has no workers, and outside of one, the thread does all.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Pace, Shared};
use crate::engine::{Batch, Engine};
use crate::{Error, Result};

/// What callers and the committing thread share.
#[derive(Debug)]
pub(super) struct Journal {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Used by whose turn it is; gone when the journal is closed.
    writer: Mutex<Option<Writer>>,
    disk_bytes: AtomicU64,
    pace: Pace,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<oneshot::Sender<Result<()>>>,
    turn: Holder,
    stop: bool,
}

/// Who commits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Holder {
    #[default]
    Nobody,
    Caller,
    Thread,
}

/// How a caller learns that its change is durable.
#[derive(Debug)]
pub(super) enum Durable<'a> {
    /// It waits.
    Wait(oneshot::Receiver<Result<()>>),
    /// It commits itself.
    Commit(Turn<'a>),
}

/// The right and the duty to commit; dropped, they pass to the thread.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Journal);

impl Journal {
    pub(super) fn new(engine: Box<dyn Engine>) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            disk_bytes: AtomicU64::new(engine.disk_bytes()),
            writer: Mutex::new(Some(Writer { engine, batch: Batch::default(), commits: 0 })),
            pace: Pace::default(),
        }
    }

    /// Asks for what is applied to be made durable; call it under the state's lock.
    pub(super) fn enqueue(&self) -> Durable<'_> {
        let mut queue = self.queue.lock();
        if !queue.stop && queue.turn == Holder::Nobody && self.pace.is_short(1) {
            queue.turn = Holder::Caller;
            return Durable::Commit(Turn(self));
        }
        let (sender, receiver) = oneshot::channel();
        if !queue.stop {
            queue.waiting.push(sender);
            if queue.turn == Holder::Nobody {
                queue.turn = Holder::Thread;
                self.wake.notify_one();
            }
        }
        Durable::Wait(receiver)
    }

    /// Bytes on disk, or where somebody is writing, as of some commits ago.
    pub(super) fn disk_bytes(&self) -> u64 {
        let now =
            self.writer.try_lock().and_then(|slot| slot.as_ref().map(|writer| writer.engine.disk_bytes()));
        now.unwrap_or_else(|| self.disk_bytes.load(Ordering::Relaxed))
    }

    /// Lets the engine give back a part of the space that is not needed; answers whether there is more to do. Blocks.
    pub(super) fn shrink(&self, shared: &Shared) -> Result<bool> {
        let mut slot = self.writer.lock();
        if let Some(failure) = shared.state.read().failure() {
            return Err(failure.clone());
        }
        // Is not put back if the engine panics: then nobody knows what it holds.
        let mut writer = slot.take().ok_or_else(Error::closed)?;
        let outcome = writer.engine.shrink().map_err(Error::storage);
        if let Err(error) = &outcome {
            tracing::error!(%error, "giving back space failed, no more writes are accepted");
            shared.state.write().fail(error.clone());
        }
        *slot = Some(writer);
        outcome
    }

    /// Ends the thread once nothing waits.
    pub(super) fn stop(&self) {
        self.queue.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits until it is the thread's turn; answers `false` when it is time to stop.
    fn wait(&self) -> bool {
        let mut queue = self.queue.lock();
        while queue.turn == Holder::Caller || (queue.turn == Holder::Nobody && !queue.stop) {
            self.wake.wait(&mut queue);
        }
        queue.turn == Holder::Thread
    }

    /// Ends a turn; the thread goes on if somebody waits.
    fn pass_on(&self) {
        let mut queue = self.queue.lock();
        let next = if queue.waiting.is_empty() { Holder::Nobody } else { Holder::Thread };
        let before = std::mem::replace(&mut queue.turn, next);
        if before == Holder::Caller && (next == Holder::Thread || queue.stop) {
            self.wake.notify_one();
        }
    }

    /// Commits what is applied, shows it, and answers all who wait for it.
    fn commit(&self, shared: &Shared) -> Result<()> {
        let mut slot = self.writer.lock();
        // Is not put back if the engine panics: then nobody knows what it holds.
        let Some(mut writer) = slot.take() else {
            let mut queue = self.queue.lock();
            (queue.stop, queue.waiting) = (true, Vec::new());
            return Err(Error::closed());
        };
        let (revision, waiting) = {
            let mut state = shared.state.write();
            let revision = state.encode_changes(&mut writer.batch);
            (revision, std::mem::take(&mut self.queue.lock().waiting))
        };
        let outcome = self.write(shared, &mut writer);
        let woken = {
            let mut state = shared.state.write();
            match &outcome {
                Ok(()) => shared.publish(&mut state, revision),
                Err(error) => {
                    state.fail(error.clone());
                    Vec::new()
                }
            }
        };
        *slot = Some(writer);
        drop(slot);
        woken.into_iter().for_each(std::task::Waker::wake);
        for caller in waiting {
            // A caller that went away does not want to know.
            let _ = caller.send(outcome.clone());
        }
        outcome
    }

    fn write(&self, shared: &Shared, writer: &mut Writer) -> Result<()> {
        if let Some(failure) = shared.state.read().failure() {
            return Err(failure.clone());
        }
        if writer.batch.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let outcome = writer.engine.commit(&writer.batch).map_err(Error::storage);
        writer.batch.clear();
        self.pace.note(start.elapsed());
        if let Err(error) = &outcome {
            tracing::error!(%error, "a commit failed, no more writes are accepted");
        }
        writer.commits += 1;
        if writer.commits.is_multiple_of(256) {
            self.disk_bytes.store(writer.engine.disk_bytes(), Ordering::Relaxed);
        }
        outcome
    }
}

impl Turn<'_> {
    /// Commits what is applied.
    pub(super) fn commit(self, shared: &Shared) -> Result<()> {
        let outcome = self.0.commit(shared);
        self.0.pass_on();
        std::mem::forget(self);
        outcome
    }
}

impl Drop for Turn<'_> {
    /// A caller that goes away before it has committed leaves that to the thread.
    fn drop(&mut self) {
        self.0.queue.lock().turn = Holder::Thread;
        self.0.wake.notify_one();
    }
}

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>, journal: Arc<Journal>) -> io::Result<JoinHandle<()>> {
    let committer = Committer { shared, journal };
    std::thread::Builder::new().name("kube-store".into()).spawn(move || committer.run())
}

/// What a commit needs.
#[derive(Debug)]
struct Writer {
    engine: Box<dyn Engine>,
    batch: Batch,
    commits: u64,
}

struct Committer {
    shared: Arc<Shared>,
    journal: Arc<Journal>,
}

impl Committer {
    fn run(self) {
        while self.journal.wait() {
            // Whoever waits has been told.
            let _ = self.journal.commit(&self.shared);
            self.journal.pass_on();
        }
    }
}

impl Drop for Committer {
    /// Also when the engine panics: callers get an error instead of waiting for ever. Closes the engine.
    fn drop(&mut self) {
        let mut queue = self.journal.queue.lock();
        queue.stop = true;
        queue.waiting.clear();
        drop(queue);
        self.journal.writer.lock().take();
    }
}
