//! Runs the configured controllers.

use crate::runner::{Executor, Informers, Queue, Reconcile, Recorder, Wiring, Worker};
use crate::{Config, Result};
use futures::future::BoxFuture;
use kube::Client;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the manager looks whether the caches are full, until they are.
const SYNC_POLL: Duration = Duration::from_millis(5);
/// How often dropped keys are looked for.
const OVERFLOW_POLL: Duration = Duration::from_secs(5);

/// The controllers of a cluster, in one process.
pub struct ControllerManager {
    client: Client,
    config: Config,
    ready: watch::Sender<bool>,
}

impl fmt::Debug for ControllerManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerManager").field("config", &self.config).finish_non_exhaustive()
    }
}

type StartWorkers = Box<dyn FnOnce(&TaskTracker, &CancellationToken) + Send>;

/// What is needed to start a controller.
pub(crate) struct Starter {
    pub(crate) config: Config,
    pub(crate) informers: Arc<Informers>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    recorder: Recorder,
    queues: Vec<Arc<Queue>>,
    /// Controllers wired, whose workers wait for full caches.
    waiting: Vec<StartWorkers>,
}

impl ControllerManager {
    /// A manager that speaks to the cluster through `client`.
    pub fn new(client: Client, config: Config) -> Self {
        Self { client, config, ready: watch::channel(false).0 }
    }

    /// Turns true when all caches are full and the controllers work.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs until `shutdown`, and returns when every task has ended.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the configuration is not usable; nothing else ends it early.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<()>> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(self.manage(shutdown))
    }

    async fn manage(self, shutdown: CancellationToken) -> Result<()> {
        self.config.validate()?;
        let (recorder, writer) = Recorder::new(self.client.clone(), self.config.clock);
        let tasks = TaskTracker::new();
        let mut starter = Starter {
            informers: Arc::new(Informers::new(self.client, self.config.seed)),
            config: self.config,
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
            recorder,
            queues: Vec::new(),
            waiting: Vec::new(),
        };
        crate::controllers::start(&mut starter)?;
        tasks.spawn(writer.run(shutdown.clone()));
        let queues = starter.queues.clone();
        tokio::select! {
            () = starter.work() => { self.ready.send_replace(true); }
            () = shutdown.cancelled() => {}
        }
        shutdown.cancelled().await;
        queues.iter().for_each(|queue| queue.close());
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}

impl Starter {
    /// Wires a controller; its workers start once all caches are full.
    pub(crate) fn add<R: Reconcile>(&mut self, controller: R) {
        let queue = Arc::new(Queue::new(self.config.queue_capacity));
        controller.wire(&Wiring::new(self.informers.clone(), queue.clone()));
        self.queues.push(queue.clone());
        let executor = Executor::new(self.informers.clone(), self.recorder.clone(), controller.name());
        let clock = self.config.clock;
        let worker = Arc::new(Worker { controller: Arc::new(controller), queue, executor, clock });
        self.waiting.push(Box::new(move |tasks, shutdown| {
            for _ in 0..worker.controller.workers() {
                tasks.spawn(worker.clone().run(shutdown.clone()));
            }
        }));
    }

    /// Fills the caches, then lets the workers go.
    async fn work(mut self) {
        self.informers.start(&self.tasks, &self.shutdown);
        while !self.informers.are_synced() {
            tokio::time::sleep(SYNC_POLL).await;
        }
        for start in std::mem::take(&mut self.waiting) {
            start(&self.tasks, &self.shutdown);
        }
        self.tasks.spawn(recover(self.queues, self.informers, self.shutdown));
    }
}

/// When a queue has dropped keys, shows every object to every controller again.
async fn recover(queues: Vec<Arc<Queue>>, informers: Arc<Informers>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(OVERFLOW_POLL) => {}
        }
        let dropped = queues.iter().filter(|queue| queue.is_empty()).any(|queue| queue.overflowed());
        if dropped {
            informers.resync();
        }
    }
}
