//! Runs a member: one task owns it and its engine, hands in what arrives, and carries out what the member says.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::command::{Answer, Command};
use super::core::{Core, Outgoing, Work, removed};
use super::{RaftStatus, Transport};
use crate::driver::{Driver, Pace};
use crate::engine::{Batch, Engine};
use crate::{Error, Result};

/// Inputs taken at once, so that one sync serves many.
const AT_ONCE: usize = 1024;

/// Bytes that take about as long to write as a sync takes; parts of a snapshot are larger.
const SMALL: usize = 256 << 10;

/// How often a member makes everything durable before it gives back space: what was compacted, and then what is gone for that, which
/// the engine does not know before.
const FLUSHES: u8 = 2;

/// What a member's task is told.
#[derive(Debug)]
pub(super) enum Input {
    /// A frame of another member.
    Frame(Bytes),
    /// Do this, and say what it gave.
    Propose(Command, oneshot::Sender<Result<Answer>>),
    /// Say when the state holds everything committed until now.
    Read(oneshot::Sender<Result<()>>),
    /// Let this member lead.
    Transfer(u64),
    /// Give back space on the disk, and say when that is done.
    Defragment(oneshot::Sender<Result<()>>),
    /// Another member says that the group has removed this one.
    Removed,
}

/// What a task tells all the time.
#[derive(Debug)]
pub(super) struct Gauges {
    /// Bytes on disk.
    pub(super) disk_bytes: AtomicU64,
    /// How often a leader's tick came more than another tick too late.
    pub(super) late: AtomicU64,
}

impl Gauges {
    pub(super) fn of(engine: &dyn Engine) -> Self {
        Self { disk_bytes: AtomicU64::new(engine.disk_bytes()), late: AtomicU64::new(0) }
    }
}

/// Calls that were not answered yet.
#[derive(Debug, Default)]
struct Calls {
    next: u64,
    proposals: HashMap<u64, oneshot::Sender<Result<Answer>>>,
    reads: HashMap<u64, oneshot::Sender<Result<()>>>,
    defragments: Vec<oneshot::Sender<Result<()>>>,
    /// Flushes before that.
    flushes: u8,
}

/// A member's task.
pub(super) struct Task {
    pub(super) core: Core,
    pub(super) store: Arc<Driver>,
    /// Away while a thread commits with it.
    pub(super) engine: Option<Box<dyn Engine>>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) status: watch::Sender<RaftStatus>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) stop: CancellationToken,
    calls: Calls,
    pace: Pace,
}

impl Task {
    #[expect(clippy::too_many_arguments, reason = "the parts are made in one place and named there")]
    pub(super) fn new(
        core: Core,
        store: Arc<Driver>,
        engine: Box<dyn Engine>,
        transport: Arc<dyn Transport>,
        inputs: mpsc::Receiver<Input>,
        status: watch::Sender<RaftStatus>,
        gauges: Arc<Gauges>,
        stop: CancellationToken,
    ) -> Self {
        let (calls, pace) = (Calls::default(), Pace::default());
        Self { core, store, engine: Some(engine), transport, inputs, status, gauges, stop, calls, pace }
    }

    /// Runs until told to stop, or until the disk fails or the member is removed.
    pub(super) async fn run(mut self) {
        let outcome = self.serve().await;
        if let Err(error) = outcome {
            tracing::error!(member = self.core.id, %error, "the member stopped");
            self.store.fail(error.clone());
            self.calls.proposals.drain().for_each(|(_, caller)| drop(caller.send(Err(error.clone()))));
            self.calls.reads.drain().for_each(|(_, caller)| drop(caller.send(Err(error.clone()))));
        }
    }

    async fn serve(&mut self) -> Result<()> {
        let mut clock = tokio::time::interval(self.core.config.tick);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut inputs = Vec::new();
        self.work().await?;
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                due = clock.tick() => self.tick(due),
                count = self.inputs.recv_many(&mut inputs, AT_ONCE) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.take(inputs.drain(..));
                }
                () = std::future::ready(()), if !self.calls.defragments.is_empty() => {}
            }
            self.work().await?;
            self.shrink().await?;
            if self.core.is_removed() {
                return Err(removed());
            }
        }
    }

    fn tick(&mut self, due: Instant) {
        let now = Instant::now();
        if self.core.is_leader() && now.saturating_duration_since(due) > self.core.config.tick {
            self.gauges.late.fetch_add(1, Ordering::Relaxed);
        }
        // Whoever stopped waiting does not need an answer.
        self.calls.reads.retain(|_, caller| !caller.is_closed());
        self.calls.proposals.retain(|number, caller| {
            let waits = !caller.is_closed();
            if !waits {
                self.core.cancel(*number);
            }
            waits
        });
        let core = &mut self.core;
        self.store.with_state(|state| core.tick(state, now));
    }

    fn take(&mut self, inputs: impl Iterator<Item = Input>) {
        let (core, calls) = (&mut self.core, &mut self.calls);
        self.store.with_state(|state| {
            let now = Instant::now();
            for input in inputs {
                calls.next += 1;
                match input {
                    Input::Frame(frame) => core.step(frame, state, now),
                    Input::Propose(command, caller) => {
                        calls.proposals.insert(calls.next, caller);
                        core.propose(calls.next, &command, state, now);
                    }
                    Input::Read(caller) => {
                        calls.reads.insert(calls.next, caller);
                        core.read(calls.next);
                    }
                    Input::Transfer(to) => core.transfer_leader(to),
                    Input::Defragment(caller) => {
                        calls.flushes = FLUSHES;
                        calls.defragments.push(caller);
                    }
                    Input::Removed => core.was_removed(),
                }
            }
        });
    }

    /// Carries out what the member says until it has nothing to say.
    async fn work(&mut self) -> Result<()> {
        loop {
            let core = &mut self.core;
            let work = self.store.with_state(|state| core.poll(state, Instant::now()))?;
            let Some(work) = work else { break };
            self.carry_out(work).await?;
        }
        let status = self.core.status();
        if *self.status.borrow() != status {
            if self.status.borrow().members != status.members {
                self.transport.members(&status.members);
            }
            self.status.send_replace(status);
        }
        Ok(())
    }

    async fn carry_out(&mut self, work: Work) -> Result<()> {
        self.send(work.send);
        for (number, answer) in work.answers {
            if let Some(caller) = self.calls.proposals.remove(&number) {
                // A caller that went away does not want to know.
                let _ = caller.send(answer);
            }
        }
        for token in work.reads {
            if let Some(caller) = self.calls.reads.remove(&token) {
                let _ = caller.send(Ok(()));
            }
        }
        self.commit(work.batch).await?;
        self.send(work.after);
        if let Some(ready) = work.ready {
            self.core.persisted(ready);
        }
        Ok(())
    }

    /// Makes a batch durable: here if that is short, else on a thread, because an engine blocks. What arrives meanwhile is
    /// taken together afterwards.
    async fn commit(&mut self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let is_small = batch.bytes() <= SMALL;
        // Is not put back if the engine panics: then nobody knows what it holds.
        let mut engine = self.engine.take().ok_or_else(Error::closed)?;
        let commit = move || {
            let start = Instant::now();
            let outcome = engine.commit(&batch);
            (start.elapsed(), engine, outcome)
        };
        // The only worker has messages to pass on meanwhile.
        let done = match is_small && self.pace.is_short(2) {
            true => std::panic::catch_unwind(AssertUnwindSafe(commit)).map_err(|_| Error::closed()),
            false => tokio::task::spawn_blocking(commit).await.map_err(|_| Error::closed()),
        };
        let (took, engine, outcome) = done?;
        self.pace.note(took);
        self.gauges.disk_bytes.store(engine.disk_bytes(), Ordering::Relaxed);
        self.engine = Some(engine);
        outcome.map_err(Error::storage)
    }

    /// Gives back a part of the space on the disk if somebody asked for that.
    async fn shrink(&mut self) -> Result<()> {
        if self.calls.defragments.is_empty() {
            return Ok(());
        }
        if let Some(left) = self.calls.flushes.checked_sub(1) {
            self.calls.flushes = left;
            self.core.flush();
            return Ok(());
        }
        let mut engine = self.engine.take().ok_or_else(Error::closed)?;
        let part = tokio::task::spawn_blocking(move || (engine.shrink(), engine));
        let (more, engine) = part.await.map_err(|_| Error::closed())?;
        self.gauges.disk_bytes.store(engine.disk_bytes(), Ordering::Relaxed);
        self.engine = Some(engine);
        if !more.map_err(Error::storage)? {
            // Who went away does not want to know.
            self.calls.defragments.drain(..).for_each(|caller| drop(caller.send(Ok(()))));
        }
        Ok(())
    }

    fn send(&self, frames: Vec<Outgoing>) {
        for Outgoing { to, frame, is_part } in frames {
            if is_part {
                self.transport.send_part(to, frame);
            } else {
                self.transport.send(to, frame);
            }
        }
    }
}
