//! The loop that takes keys from a controller's queue.

use super::{Executor, Key, Queue, Reconcile};
use crate::{Clock, Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long one observation and its actions may take before the key is given up for now.
const PATIENCE: Duration = Duration::from_secs(120);

/// One controller with what it needs to run.
pub(crate) struct Worker<R> {
    pub(crate) controller: Arc<R>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) executor: Executor,
    pub(crate) clock: Clock,
}

impl<R: Reconcile> Worker<R> {
    /// Works on keys until the queue closes.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        while let Some(key) = self.queue.next().await {
            let worked = tokio::select! {
                () = shutdown.cancelled() => return,
                worked = tokio::time::timeout(PATIENCE, self.reconcile(&key)) => worked,
            };
            match worked {
                Ok(outcome) => self.settle(&key, outcome),
                Err(_) => self.queue.add_rate_limited(key.clone()),
            }
            self.queue.done(&key);
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>> {
        let Some(view) = self.controller.observe(key).await? else { return Ok(None) };
        let plan = self.controller.plan(&view, self.clock.now());
        let outcome = self.executor.run(plan.actions).await;
        let report = self.controller.report(&view, &outcome, self.clock.now());
        let told = self.executor.run(report.actions).await;
        outcome.and(told)?;
        Ok([plan.requeue, report.requeue].into_iter().flatten().min())
    }

    fn settle(&self, key: &Key, outcome: Result<Option<Duration>>) {
        match outcome {
            Ok(requeue) => {
                self.queue.forget(key);
                if let Some(delay) = requeue {
                    self.queue.add_after(key.clone(), delay);
                }
            }
            Err(Error::Terminating(_)) => self.queue.forget(key),
            Err(error) => {
                tracing::debug!(controller = self.controller.name(), %key, %error, "will retry");
                self.queue.add_rate_limited(key.clone());
            }
        }
    }
}
