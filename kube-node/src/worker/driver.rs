//! The driver of one pod.

mod look;
mod news;
mod outcome;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Context, Latest,
    lifecycle::{Probes, apply},
    ops::{Outcome, Subject, key, perform},
};
use crate::{
    config::Files,
    events::Level,
    objects::Changes,
    pod::{
        backoff::Backoff,
        observed::{Busy, Memory, Observed, Volumes},
        phase::{is_final, phase},
        plan::{Action, Input, Wish, plan, wish},
        spec::{PodContainer, containers, pod_ref},
        status,
    },
    probe::Verdict,
    seam::{ContainerId, ContainerState},
    volumes::{Mounted, references},
};

/// How many verdicts of probes may wait.
const VERDICTS: usize = 16;
/// Between two attempts of something that failed.
const RETRY: SignedDuration = SignedDuration::from_secs(2);
/// How long a pod without news goes between two looks.
const AUDIT: Duration = Duration::from_secs(60);
/// Longest last words.
const MESSAGE_LIMIT: u64 = 4096;

/// Drives one pod from its first sight to its end.
pub(crate) struct Worker {
    context: Arc<Context>,
    /// The pod as the API server has it, with the status that this worker last computed.
    pod: Pod,
    containers: Arc<Vec<PodContainer>>,
    vanished: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    observed: Observed,
    memory: Memory,
    mounted: Arc<Mounted>,
    /// What the API server has as status.
    known: PodStatus,
    reporting: bool,
    /// The pod's resource version when the last report was sent.
    reported_over: Option<String>,
    report_after: Option<Timestamp>,
    ops: JoinSet<(Option<Busy>, Outcome)>,
    starts: BTreeMap<String, tokio::task::AbortHandle>,
    probes: Probes,
    verdicts: mpsc::Receiver<Verdict>,
    changes: Vec<(Arc<Changes>, watch::Receiver<u64>)>,
    last_words: BTreeMap<ContainerId, String>,
    told_backoff: BTreeMap<String, Timestamp>,
    /// What failed, and not to be begun again before when.
    held: BTreeMap<Busy, Timestamp>,
    done: bool,
    /// Nobody has asked whether this is a node that the pod wants.
    unplaced: bool,
}

/// What is known of a pod when its worker begins.
#[derive(Debug)]
pub(crate) enum Admission {
    /// The node took it before.
    Admitted,
    /// It is new, and there is room for it.
    Fits,
    /// The node does not take it: upstream's reason and message.
    Refused(&'static str, String),
}

impl Worker {
    pub(crate) fn new(context: Arc<Context>, pod: &Pod, admission: Admission) -> Self {
        let (sender, verdicts) = mpsc::channel(VERDICTS);
        let mut worker = Self {
            containers: Arc::new(containers(pod)),
            known: pod.status.clone().unwrap_or_default(),
            pod: pod.clone(),
            vanished: None,
            ended_at: None,
            observed: Observed::default(),
            memory: Memory::default(),
            mounted: Arc::default(),
            reporting: false,
            reported_over: None,
            report_after: None,
            ops: JoinSet::new(),
            starts: BTreeMap::new(),
            probes: Probes::new(sender),
            verdicts,
            changes: Vec::new(),
            last_words: BTreeMap::new(),
            told_backoff: BTreeMap::new(),
            held: BTreeMap::new(),
            done: false,
            unplaced: false,
            context,
        };
        worker.remember_restarts();
        match admission {
            Admission::Admitted => {}
            Admission::Fits => worker.unplaced = true,
            Admission::Refused(reason, message) => worker.end(reason, message),
        }
        worker
    }

    /// Ends a new pod that does not want to be here.
    async fn check_place(&mut self) {
        if std::mem::take(&mut self.unplaced)
            && let Some(spec) = &self.pod.spec
            && let Some((reason, message)) = self.context.misplaced(spec).await
        {
            self.end(reason, message);
        }
    }

    /// Restart counts of containers that the runtime may have forgotten.
    fn remember_restarts(&mut self) {
        let lists = [&self.known.init_container_statuses, &self.known.container_statuses];
        for status in lists.into_iter().flatten().flatten().filter(|s| s.container_id.is_some()) {
            let count = u32::try_from(status.restart_count).unwrap_or_default();
            self.memory.restarts.insert(status.name.clone(), count);
        }
    }

    /// Ends the pod for good.
    fn end(&mut self, reason: &'static str, message: String) {
        if self.memory.ended.is_none() {
            self.context.events.pod(&self.pod, None, Level::Warning, reason, message.clone());
            self.memory.ended = Some((reason, message));
            self.ended_at = Some(self.context.clock.now());
        }
    }

    /// Runs until nothing of the pod is left, or until shutdown, which leaves containers as they are.
    pub(crate) async fn run(
        mut self,
        mut latest: watch::Receiver<Latest>,
        poke: Arc<Notify>,
        shutdown: CancellationToken,
    ) {
        if shutdown.run_until_cancelled(self.check_place()).await.is_none() {
            return;
        }
        // The first news may already be that the pod is gone.
        let first = latest.borrow_and_update().clone();
        self.hear(first);
        let mut look = true;
        while !self.done {
            if look && let Err(error) = self.look().await {
                tracing::warn!(pod = %pod_ref(&self.pod), %error, "cannot look at the runtime");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let wake = self.step();
            if self.done {
                break;
            }
            look = true;
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = latest.changed() => match changed {
                    Ok(()) => {
                        let news = latest.borrow_and_update().clone();
                        self.hear(news);
                        look = false;
                    }
                    Err(_) => return,
                },
                () = poke.notified() => {}
                Some(joined) = self.ops.join_next(), if !self.ops.is_empty() => match joined {
                    Ok((busy, outcome)) => self.finish(busy, outcome),
                    Err(_) => self.forget_aborted(),
                },
                Some(verdict) = self.verdicts.recv() => {
                    apply(&verdict, &self.containers, &self.observed, &mut self.memory);
                    look = false;
                }
                () = changed_object(&mut self.changes) => {
                    self.memory.mount_retry = None;
                    self.remount();
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn subject(&self) -> Subject {
        let running = self.observed.containers().iter().filter(|c| c.state == ContainerState::Running);
        Subject {
            context: Arc::clone(&self.context),
            pod: Arc::new(self.pod.clone()),
            containers: Arc::clone(&self.containers),
            sandbox: self.observed.ready_sandbox().cloned(),
            mounted: Arc::clone(&self.mounted),
            running: Arc::new(running.map(|c| (c.name.clone(), c.id.clone())).collect()),
        }
    }

    /// Plans, begins what the plan says, reports; until when to sleep.
    fn step(&mut self) -> Instant {
        let now = self.context.clock.now();
        self.check_deadline(now);
        let subject = self.subject();
        self.probes.follow(&subject, &self.observed, &mut self.memory);
        let input = self.input(now);
        let wish = wish(&input, self.vanished, self.ended_at);
        let planned = plan(&input, wish);
        let stopped = wish != Wish::Run && self.is_stopped();
        let wanted = status::compute(&input, wish, stopped, &self.context.facts);
        self.pod.status = Some(wanted.clone());
        let told = self.report(&subject, wanted, now);
        if wish != Wish::Run {
            self.starts.values().for_each(tokio::task::AbortHandle::abort);
        }
        self.held.retain(|_, until| *until > now);
        for action in planned.actions {
            if key(&action).is_some_and(|busy| self.held.contains_key(&busy)) {
                continue;
            }
            // The final status must be seen before the pod is gone.
            if action != Action::DeletePod || told {
                self.begin(&subject, action, now);
            }
        }
        self.say_backoff(now);
        let clock = self.context.clock;
        let wakes = [planned.wake, self.report_after, self.mounted.renew, self.active_deadline()];
        let held = self.held.values().copied();
        let next = wakes.into_iter().flatten().chain(held).filter(|at| *at > now).min();
        let audit = Instant::now() + AUDIT;
        next.map_or(audit, |at| clock.instant(at).min(audit))
    }

    fn input(&self, now: Timestamp) -> Input<'_> {
        Input {
            pod: &self.pod,
            containers: &self.containers,
            observed: &self.observed,
            memory: &self.memory,
            now,
        }
    }

    fn is_stopped(&self) -> bool {
        let alive = self.observed.containers().iter().any(crate::pod::observed::is_alive);
        !alive && !self.memory.any_container_op()
    }

    fn active_deadline(&self) -> Option<Timestamp> {
        let limit = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let start = self.pod.status.as_ref()?.start_time.as_ref()?.0;
        start.checked_add(SignedDuration::from_secs(limit)).ok()
    }

    fn check_deadline(&mut self, now: Timestamp) {
        if self.active_deadline().is_some_and(|at| now >= at) && !is_final(phase(&self.input(now))) {
            self.end(
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline".to_owned(),
            );
        }
        if self.mounted.renew.is_some_and(|at| now >= at) {
            self.remount();
        }
    }

    /// Mounts again, which brings the content of volumes up to date.
    fn remount(&mut self) {
        if self.memory.volumes == Volumes::Mounted
            && !self.memory.busy.contains(&Busy::Volumes)
            && self.vanished.is_none()
        {
            let (subject, now) = (self.subject(), self.context.clock.now());
            self.begin(&subject, Action::Mount, now);
        }
    }

    /// A sandbox is made in the place of one that has died. The first time that happens at once, and the times after that as restarts of containers
    /// do: after 10 s, doubling to 5 min. Upstream's kubelet has no such pause; it looks at sandboxes once a second, which is its only brake.
    /// Here events wake the worker, so a sandbox that dies at once would be made again as fast as the machine can, each time with a network
    /// and a cgroup.
    fn remake_sandbox(&mut self, now: Timestamp) {
        let next = Backoff::next(self.memory.sandboxes.as_ref(), now);
        self.memory.sandbox_retry = now.checked_add(next.delay).ok();
        self.memory.sandboxes = Some(next);
    }

    fn begin(&mut self, subject: &Subject, action: Action, now: Timestamp) {
        let Some(busy) = key(&action) else {
            self.done = true;
            return;
        };
        self.memory.busy.insert(busy.clone());
        match &action {
            Action::Start { name, .. } => {
                let next = Backoff::next(self.memory.crashes.get(name), now);
                if self.observed.latest(name).is_some_and(|c| c.state == ContainerState::Exited) {
                    self.memory.crashes.insert(name.clone(), next);
                }
                self.memory.problems.remove(name);
            }
            Action::Stop { id, grace, .. } => {
                let grace = SignedDuration::try_from(*grace).unwrap_or_default();
                self.memory.stopping.insert(id.clone(), now + grace);
            }
            Action::RunSandbox { attempt } if *attempt > 0 => self.remake_sandbox(now),
            Action::Mount if self.changes.is_empty() && self.context.config.files == Files::Write => {
                let namespace = pod_ref(&self.pod).namespace;
                let watched =
                    references(&self.pod).into_iter().map(|r| self.context.objects.changes(&namespace, &r));
                self.changes = watched.map(|c| (Arc::clone(&c), c.version.clone())).collect();
            }
            _ => {}
        }
        let name = match &action {
            Action::Start { name, .. } => Some(name.clone()),
            _ => None,
        };
        let subject = subject.clone();
        let handle = self.ops.spawn(async move { (Some(busy), perform(subject, action).await) });
        if let Some(name) = name {
            self.starts.insert(name, handle);
        }
    }
}

/// Resolves when one of the objects behind the pod's volumes changes.
async fn changed_object(changes: &mut [(Arc<Changes>, watch::Receiver<u64>)]) {
    let waiting = changes.iter_mut().map(|(_, version)| async {
        if version.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    let mut waiting: FuturesUnordered<_> = waiting.collect();
    if waiting.next().await.is_none() {
        std::future::pending::<()>().await;
    }
}
