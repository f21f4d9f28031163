//! The scheduling loop.

use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kube::Client;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::bind::{Binder, Failure};
use super::consult::{Consultation, NodeTexts, failed};
use super::core::{Command, Core, Placement, Refusal};
use super::outbox::{Duty, Nomination, Outbox};
use super::report::{ClientHandle, Report, Reporter};
use super::series::Series;
use super::waiting::WaitingPods;
use super::watched::{Kind, Observed, ROWS, Watches};
use crate::extender::Extender;
use crate::framework::{Binding, Profile};
use crate::metrics::{Attempt, Call, Metrics};
use crate::pod::PodInfo;
use crate::queue::QueuedPod;
use crate::{Config, Error};

/// Changes taken in, and pods scheduled, before the other has its turn.
const BURST: usize = 64;
/// The reason in the condition of a pod that fits nowhere.
pub(super) const UNSCHEDULABLE: &str = "Unschedulable";
/// How long bindings and reports may take to finish after the end.
const GRACE: Duration = Duration::from_secs(5);

/// A scheduler for a cluster: watches its nodes and pods and binds those that wait.
///
/// It also lists and watches what has a say in where pods go: storage, devices, namespaces, disruption budgets, services and
/// the workloads that own pods. Kinds that the server does not have count as empty, kinds that it withholds are waited for.
///
/// Only one may be active for a `schedulerName`; electing it is the caller's concern.
#[derive(Debug)]
pub struct Scheduler {
    client: ClientHandle,
    config: Config,
    ready: watch::Sender<bool>,
}

/// A binding that has ended.
#[derive(Debug)]
struct Bound {
    queued: QueuedPod,
    node: Arc<str>,
    profile: Arc<Profile>,
    started: Instant,
    result: Result<(), Failure>,
}

impl Scheduler {
    /// A scheduler that speaks to the cluster through `client`.
    ///
    /// # Errors
    /// [`Error::Config`] when the configuration is not valid.
    pub fn new(client: Client, config: Config) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self { client: ClientHandle(client), config, ready: watch::Sender::new(false) })
    }

    /// Turns true when everything watched is known and scheduling begins.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Schedules until `shutdown` fires, then lets bindings under way finish. Failing requests are retried without end,
    /// so a missing API server is waited for.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, ()> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(self.schedule(shutdown))
    }

    async fn schedule(self, shutdown: CancellationToken) {
        let abort = CancellationToken::new();
        let (reports, receiver) = mpsc::channel(self.config.max_reports);
        let outbox = Arc::new(Outbox::default());
        let reporter = Reporter {
            client: self.client.clone(),
            clock: self.config.clock,
            instance: self.config.reporting_instance.clone(),
            series: Mutex::new(Series::default()),
            outbox: Arc::clone(&outbox),
            metrics: self.config.metrics.clone(),
        };
        let mut reporting = tokio::spawn(reporter.run(receiver, abort.clone()));
        let mut run = Loop::new(&self, reports, outbox);
        shutdown.run_until_cancelled(run.run()).await;
        if timeout(GRACE, run.finish()).await.is_err() || timeout(GRACE, &mut reporting).await.is_err() {
            tracing::warn!("stopped before everything was written");
            abort.cancel();
        }
    }
}

/// The state of a running scheduler.
struct Loop<'a> {
    core: Core,
    client: Client,
    max_bindings: usize,
    watches: Watches,
    bindings: JoinSet<Bound>,
    reports: mpsc::Sender<Report>,
    outbox: Arc<Outbox>,
    metrics: Metrics,
    waiting: WaitingPods,
    extenders: Arc<[Extender]>,
    /// The nodes' objects, if an extender needs them.
    nodes: NodeTexts,
    keeps_nodes: bool,
    ready: &'a watch::Sender<bool>,
    /// The kinds that have not been listed yet.
    unsynced: Vec<Kind>,
}

impl<'a> Loop<'a> {
    fn new(scheduler: &'a Scheduler, reports: mpsc::Sender<Report>, outbox: Arc<Outbox>) -> Self {
        let client = scheduler.client.0.clone();
        Self {
            core: Core::new(&scheduler.config),
            watches: Watches::start(&client, &mut Rng::with_seed(scheduler.config.seed)),
            client,
            max_bindings: scheduler.config.max_bindings,
            bindings: JoinSet::new(),
            reports,
            outbox,
            metrics: scheduler.config.metrics.clone(),
            waiting: scheduler.config.waiting_pods.clone(),
            extenders: scheduler.config.extenders.as_slice().into(),
            nodes: NodeTexts::default(),
            keeps_nodes: scheduler
                .config
                .extenders
                .iter()
                .any(|extender| !extender.config().node_cache_capable),
            ready: &scheduler.ready,
            unsynced: ROWS.iter().map(|row| row.kind).collect(),
        }
    }

    async fn run(&mut self) {
        loop {
            self.take_in();
            self.core.measure();
            self.metrics.bindings(self.bindings.len());
            self.metrics.pending_calls(Call::StatusPatch, self.outbox.conditions());
            // A binding is never waiting to be sent.
            self.metrics.pending_calls(Call::Binding, 0);
            if self.may_schedule() {
                self.schedule().await;
                tokio::task::yield_now().await;
            } else {
                self.wait().await;
            }
        }
    }

    fn may_schedule(&self) -> bool {
        self.unsynced.is_empty() && self.core.has_active() && self.may_bind()
    }

    /// Whether there may be one more binding. Pods that wait for a permit are not under way: they could be waiting for
    /// pods that come after them.
    fn may_bind(&self) -> bool {
        self.bindings.len().saturating_sub(self.waiting.len()) < self.max_bindings
    }

    /// Takes in what has happened, without waiting.
    fn take_in(&mut self) {
        for _ in 0..BURST {
            let Some(change) = self.watches.take() else { break };
            self.observe(change);
        }
        while let Some(bound) = self.bindings.try_join_next() {
            self.bound(bound);
        }
        let now = Instant::now();
        for victim in self.outbox.take_refused() {
            self.core.eviction_refused(&victim, now);
        }
        self.core.flush(now);
    }

    /// Waits until something happens.
    async fn wait(&mut self) {
        let deadline = self.core.next_deadline();
        let rest = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(change) = self.watches.next() => self.observe(change),
            Some(bound) = self.bindings.join_next() => self.bound(bound),
            () = self.outbox.refusal() => {}
            () = rest => {}
        }
    }

    fn observe(&mut self, change: Observed) {
        let now = Instant::now();
        match change {
            Observed::Node(node, text) => {
                if let Some(text) = text.filter(|_| self.keeps_nodes) {
                    self.nodes.insert(Arc::clone(&node.name), text);
                }
                self.core.node_applied(node, now);
            }
            Observed::NodeGone(name) => {
                self.nodes.remove(&*name);
                self.core.node_deleted(&name, now);
            }
            Observed::Pod(pod) => {
                if pod.node_name.is_some() {
                    self.outbox.withdraw_condition(&pod.key);
                }
                self.core.pod_applied(pod, now);
            }
            Observed::PodGone(key) => {
                self.outbox.withdraw(&key);
                self.core.pod_deleted(&key, now);
            }
            Observed::Object(change) => self.core.object_changed(change, now),
            Observed::Synced(kind) => self.synced(kind),
        }
    }

    fn synced(&mut self, kind: Kind) {
        self.unsynced.retain(|other| *other != kind);
        if self.unsynced.is_empty() {
            self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        }
    }

    async fn schedule(&mut self) {
        for _ in 0..BURST {
            if !self.may_bind() {
                break;
            }
            let started = Instant::now();
            let command = if self.extenders.is_empty() {
                self.core.step(started)
            } else {
                self.step_with_extenders(started).await
            };
            let Some(command) = command else { break };
            self.carry_out(command, started);
        }
    }

    /// Nothing else happens while extenders are asked, as upstream, so that the decision is about the cluster as it is known.
    async fn step_with_extenders(&mut self, now: Instant) -> Option<Command> {
        let queued = self.core.pop(now)?;
        let pod = Arc::clone(&queued.pod);
        let decision = match Consultation::new(&self.extenders, &pod, &self.nodes) {
            None => self.core.decide(&pod)?,
            Some(Ok(consultation)) => consultation.decide(self.core.stage(&pod)?).await,
            Some(Err(error)) => failed(self.core.decide(&pod)?, &error),
        };
        self.core.act(queued, decision, now)
    }

    fn carry_out(&mut self, command: Command, started: Instant) {
        match command {
            Command::Bind(placement) => self.bind(placement, started),
            Command::Refuse(refusal) => self.refuse(refusal, started),
        }
    }

    fn bind(&mut self, placement: Placement, started: Instant) {
        let Placement { queued, node, profile, volumes, devices, waiter } = placement;
        self.outbox.withdraw_condition(&queued.pod.key);
        let (client, outbox) = (self.client.clone(), Arc::clone(&self.outbox));
        let (metrics, extenders) = (self.metrics.clone(), Arc::clone(&self.extenders));
        self.bindings.spawn(async move {
            outbox.settled(&queued.pod.key).await;
            let (volumes, devices) = (volumes.as_deref(), devices.as_deref());
            let binding = Binding { pod: &queued.pod, node: &node, volumes, devices };
            let binder =
                Binder { client: &client, profile: &profile, metrics: &metrics, extenders: &extenders };
            let result = binder.bind(&binding, waiter).await;
            Bound { queued, node, profile, started, result }
        });
    }

    fn refuse(&self, refusal: Refusal, started: Instant) {
        let Refusal { pod, message, reason, nomination, victims, deallocation } = refusal;
        let attempt = if reason == UNSCHEDULABLE { Attempt::Unschedulable } else { Attempt::Error };
        self.metrics.attempted(attempt, pod.scheduler_name(), started.elapsed());
        tracing::debug!(pod = %pod.key, %message, "unable to schedule pod");
        if let Nomination::Node(node) = &nomination {
            for victim in victims {
                let (by, node) = (Arc::clone(&pod), Arc::clone(node));
                self.outbox.put(Duty::Eviction { victim, by, node });
            }
        }
        if let Some(claim) = deallocation {
            self.outbox.put(Duty::deallocation(claim));
        }
        self.refused(pod, reason, message, nomination);
    }

    /// Tells the user why a pod is not placed.
    fn refused(&self, pod: Arc<PodInfo>, reason: &'static str, message: String, nomination: Nomination) {
        self.report(Report::Refused { pod: Arc::clone(&pod), message: message.clone() });
        self.outbox.put(Duty::Condition { pod, reason, message, nomination });
    }

    fn bound(&mut self, bound: Result<Bound, tokio::task::JoinError>) {
        let Bound { queued, node, profile, started, result } = match bound {
            Ok(bound) => bound,
            // Panics are caught where they happen, and nothing aborts the task.
            Err(error) => return tracing::error!(%error, "a binding was lost"),
        };
        let pod = Arc::clone(&queued.pod);
        let error = result.as_ref().err().map(|failure| &failure.error);
        let attempt = match &result {
            Ok(()) => Attempt::Scheduled,
            Err(failure) if failure.reason == UNSCHEDULABLE => Attempt::Unschedulable,
            Err(_) => Attempt::Error,
        };
        self.metrics.attempted(attempt, &profile.scheduler_name, started.elapsed());
        if error.is_none() {
            self.metrics.bound(queued.attempts, queued.added_at.elapsed());
        }
        self.core.bound(queued, &node, &profile, error, Instant::now());
        match result {
            Ok(()) => self.report(Report::Scheduled { pod, node }),
            Err(Failure { error: Error::Gone(_), .. }) => {
                tracing::debug!(pod = %pod.key, "gone before it was bound");
            }
            Err(Failure { error, reason, message }) => {
                tracing::warn!(pod = %pod.key, %node, %error, "binding failed");
                self.refused(pod, reason, message, Nomination::Keep);
            }
        }
    }

    /// Hands an event over without waiting.
    fn report(&self, report: Report) {
        if self.reports.try_send(report).is_err() {
            tracing::debug!("too many events, dropping one");
        }
    }

    /// Lets bindings finish and closes the ways to the reporter.
    async fn finish(mut self) {
        while let Some(bound) = self.bindings.join_next().await {
            self.bound(bound);
        }
        self.outbox.close();
    }
}
