//! Makes changes durable: one thread owns the engine and commits, in one batch and one sync, all that was applied while it
//! was busy with the batch before.
//!
//! Callers evaluate their transactions themselves, under the lock, so nothing hops through a queue twice and evaluation goes
//! on during a sync. A thread, because an engine blocks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::Shared;
use crate::engine::{Batch, Engine};
use crate::mvcc::Change;
use crate::{Error, Result};

/// What callers and the committing thread share.
#[derive(Debug, Default)]
pub(super) struct Journal {
    queue: Mutex<Queue>,
    wake: Condvar,
    disk_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<oneshot::Sender<Result<()>>>,
    stop: bool,
}

impl Journal {
    /// Asks for what is applied to be made durable; call it under the state's lock.
    pub(super) fn enqueue(&self) -> oneshot::Receiver<Result<()>> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.queue.lock();
        if !queue.stop {
            queue.waiting.push(sender);
            self.wake.notify_one();
        }
        receiver
    }

    /// Bytes on disk as of some commits ago.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Ends the thread once the queue is empty.
    pub(super) fn stop(&self) {
        self.queue.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for work; answers `false` when it is time to stop.
    fn wait(&self) -> bool {
        let mut queue = self.queue.lock();
        while queue.waiting.is_empty() && !queue.stop {
            self.wake.wait(&mut queue);
        }
        !queue.waiting.is_empty()
    }
}

/// Starts the thread.
pub(super) fn start(
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    engine: Box<dyn Engine>,
) -> io::Result<JoinHandle<()>> {
    journal.disk_bytes.store(engine.disk_bytes(), Ordering::Relaxed);
    let committer = Committer { shared, journal, engine, batch: Batch::default(), commits: 0 };
    std::thread::Builder::new().name("kube-store".into()).spawn(move || committer.run())
}

struct Committer {
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    engine: Box<dyn Engine>,
    batch: Batch,
    commits: u64,
}

impl Committer {
    fn run(mut self) {
        while self.journal.wait() {
            let (revision, changes, waiting) = {
                let mut state = self.shared.state.write();
                let (revision, changes) = state.take_changes();
                (revision, changes, std::mem::take(&mut self.journal.queue.lock().waiting))
            };
            let outcome = self.commit(&changes);
            let woken = {
                let mut state = self.shared.state.write();
                match &outcome {
                    Ok(()) => self.shared.publish(&mut state, revision),
                    Err(error) => {
                        state.fail(error.clone());
                        Vec::new()
                    }
                }
            };
            woken.into_iter().for_each(std::task::Waker::wake);
            for caller in waiting {
                // A caller that went away does not want to know.
                let _ = caller.send(outcome.clone());
            }
        }
    }

    fn commit(&mut self, changes: &[Change]) -> Result<()> {
        if let Some(failure) = self.shared.state.read().failure() {
            return Err(failure.clone());
        }
        self.batch.clear();
        changes.iter().for_each(|change| change.encode(&mut self.batch));
        if self.batch.is_empty() {
            return Ok(());
        }
        self.commits += 1;
        let outcome = self.engine.commit(&self.batch).map_err(Error::storage);
        if let Err(error) = &outcome {
            tracing::error!(%error, "a commit failed, no more writes are accepted");
        }
        if self.commits.is_multiple_of(256) {
            self.journal.disk_bytes.store(self.engine.disk_bytes(), Ordering::Relaxed);
        }
        outcome
    }
}

impl Drop for Committer {
    /// Also when the engine panics: callers get an error instead of waiting for ever.
    fn drop(&mut self) {
        let mut queue = self.journal.queue.lock();
        queue.stop = true;
        queue.waiting.clear();
    }
}
