//! Deletes objects whose owners are gone, and sees deletions in foreground and with orphaning through.
//!
//! The graph of owners is not a structure of its own: it is the indexes of one metadata-only cache per resource, by
//! uid and by owner. Keys are uids. An owner that no cache knows is asked for at the server before its dependents
//! are touched.

mod graph;
mod plan;
mod view;

use crate::Result;
use crate::runner::{Informers, Key, Plan, Queue, Reconcile, Wiring};
use graph::Graph;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
pub use view::View;

/// How often resources are discovered anew.
const REDISCOVER: Duration = Duration::from_secs(30);
/// How often discovery is tried until it has succeeded once.
const FIRST_TRY: Duration = Duration::from_millis(100);

/// The controller `garbage-collector-controller`.
#[derive(Clone, Debug)]
pub struct GarbageCollector {
    informers: Arc<Informers>,
    graph: Arc<Graph>,
    queue: Arc<Mutex<Option<Arc<Queue>>>>,
}

impl GarbageCollector {
    /// A collector that sees every resource of the client's server.
    pub fn new(informers: &Arc<Informers>) -> Self {
        Self { informers: informers.clone(), graph: Arc::default(), queue: Arc::default() }
    }

    /// Keeps the set of watched resources equal to what the server has, until `shutdown`.
    pub async fn watch_resources(self, tasks: TaskTracker, shutdown: CancellationToken) {
        let mut pause = FIRST_TRY;
        loop {
            let queue = self.queue.lock().clone();
            if let Some(queue) = queue {
                match self.graph.rediscover(&self.informers, &queue, &tasks, &shutdown).await {
                    Ok(()) => pause = REDISCOVER,
                    Err(error) => tracing::debug!(%error, "discovery failed"),
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

impl Reconcile for GarbageCollector {
    type View = View;

    fn name(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn workers(&self) -> usize {
        20
    }

    fn wire(&self, wiring: &Wiring) {
        *self.queue.lock() = Some(wiring.queue());
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        view::observe(&self.graph, &self.informers, &key.name).await
    }

    fn plan(&self, view: &View, _: Timestamp) -> Plan {
        plan::plan(view)
    }
}
