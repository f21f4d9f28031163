//! The driver of one pod.

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
    ops::{Outcome, Subject, key, perform, send_status},
    start::StartError,
};
use crate::{
    Result,
    config::Files,
    events::Level,
    objects::Changes,
    pod::{
        backoff::Backoff,
        names,
        observed::{Busy, Memory, Observed, Problem, Volumes},
        phase::{is_final, phase},
        plan::{Action, Input, Wish, plan, wish},
        spec::{PodContainer, containers, pod_ref},
        status,
    },
    probe::Verdict,
    seam::{ContainerFilter, ContainerId, ContainerReason, ContainerState, SandboxFilter},
    volumes::{Mounted, PodDirs, references},
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
}

impl Worker {
    /// A worker for a pod; `refused` is why the node does not take it.
    pub(crate) fn new(context: Arc<Context>, pod: &Pod, refused: Option<(&'static str, String)>) -> Self {
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
            context,
        };
        worker.remember_restarts();
        if let Some((reason, message)) = refused {
            worker.end(reason, message);
        }
        worker
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

    /// Takes what the API server says.
    fn hear(&mut self, news: Latest) {
        match news {
            Latest::Gone(at) => {
                self.vanished.get_or_insert(at);
            }
            Latest::Pod(pod) => self.accept(&pod),
        }
    }

    fn accept(&mut self, pod: &Pod) {
        let number = |p: &Pod| p.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
        // The answer to a status patch may overtake the watch.
        if let (Some(new), Some(old)) = (number(pod), number(&self.pod))
            && new < old
        {
            return;
        }
        self.known = pod.status.clone().unwrap_or_default();
        let own = self.pod.status.take();
        let respec = self.pod.spec != pod.spec;
        self.pod = pod.clone();
        self.pod.status = Some(overlay(self.known.clone(), own));
        if respec {
            self.containers = Arc::new(containers(&self.pod));
            self.memory.problems.clear();
        }
    }

    /// Asks the runtime what there is of this pod.
    async fn look(&mut self) -> Result<()> {
        let uid = pod_ref(&self.pod).uid;
        let runtime = &self.context.runtime;
        let sandboxes = runtime.sandboxes(&SandboxFilter::of_pod(uid.clone())).await?;
        let labels = BTreeMap::from([(names::POD_UID.to_owned(), uid)]);
        let mut found = runtime.containers(&ContainerFilter { labels, ..ContainerFilter::default() }).await?;
        for status in found.iter_mut().filter(|c| c.state == ContainerState::Exited) {
            if !self.last_words.contains_key(&status.id) {
                let words = self.read_last_words(status).await;
                self.last_words.insert(status.id.clone(), words);
            }
            if let Some(words) = self.last_words.get(&status.id).filter(|w| !w.is_empty()) {
                status.message.clone_from(words);
            }
        }
        self.last_words.retain(|id, _| found.iter().any(|c| c.id == *id));
        self.observed = Observed::new(sandboxes, found);
        if let Some(ready) = self.observed.ready_sandbox() {
            self.memory.addresses.clone_from(&ready.ips);
        }
        Ok(())
    }

    async fn read_last_words(&self, status: &crate::seam::ContainerStatus) -> String {
        let dirs = PodDirs::new(&self.context.config.root_dir, &pod_ref(&self.pod).uid);
        let path = dirs.termination_log(&status.name, status.attempt);
        let policy = status.annotations.get(names::TERMINATION_MESSAGE_POLICY).cloned().unwrap_or_default();
        let log = status.log_path.clone();
        let fallback = policy == "FallbackToLogsOnError" && status.exit_code != 0;
        let work = move || crate::logs::last_words(&path, MESSAGE_LIMIT, fallback.then_some(log.as_path()));
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
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
        let input = Input {
            pod: &self.pod,
            containers: &self.containers,
            observed: &self.observed,
            memory: &self.memory,
            now,
        };
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
        if self.active_deadline().is_some_and(|at| now >= at) && !self.is_final(now) {
            self.end(
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline".to_owned(),
            );
        }
        if self.mounted.renew.is_some_and(|at| now >= at) {
            self.remount();
        }
    }

    fn is_final(&self, now: Timestamp) -> bool {
        let input = Input {
            pod: &self.pod,
            containers: &self.containers,
            observed: &self.observed,
            memory: &self.memory,
            now,
        };
        is_final(phase(&input))
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

    /// Sends the status when it differs; true when the API server has it.
    fn report(&mut self, subject: &Subject, wanted: PodStatus, now: Timestamp) -> bool {
        if self.vanished.is_some() || super::report::difference(&self.known, &wanted).is_none() {
            return !self.reporting;
        }
        if self.reporting || self.report_after.is_some_and(|at| at > now) {
            return false;
        }
        self.reporting = true;
        self.reported_over.clone_from(&self.pod.metadata.resource_version);
        let (subject, known) = (subject.clone(), self.known.clone());
        self.ops.spawn(async move { (None, send_status(subject, known, wanted).await) });
        false
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

    /// A start was cancelled: nothing is known about it but that it is over.
    fn forget_aborted(&mut self) {
        let ended: Vec<String> =
            self.starts.iter().filter(|(_, h)| h.is_finished()).map(|(n, _)| n.clone()).collect();
        for name in ended {
            self.starts.remove(&name);
            self.memory.busy.remove(&Busy::Start(name));
        }
    }

    fn finish(&mut self, busy: Option<Busy>, outcome: Outcome) {
        if let Some(busy) = &busy {
            self.memory.busy.remove(busy);
        }
        let now = self.context.clock.now();
        match outcome {
            Outcome::Mounted(Ok(mounted)) => {
                self.mounted = Arc::new(mounted);
                self.memory.volumes = Volumes::Mounted;
                self.memory.mount_retry = None;
            }
            Outcome::Unmounted(Ok(())) => self.memory.volumes = Volumes::Unmounted,
            Outcome::Mounted(Err(error)) | Outcome::Unmounted(Err(error)) => {
                tracing::debug!(pod = %pod_ref(&self.pod), %error, "volumes");
                self.memory.mount_retry = Some(now + RETRY);
            }
            Outcome::Sandbox(result) => {
                if let Err(error) = result {
                    tracing::warn!(pod = %pod_ref(&self.pod), %error, "sandbox");
                    self.held.insert(Busy::Sandbox, now + RETRY);
                }
            }
            Outcome::Started(name, result) => {
                self.starts.remove(&name);
                if let Err(error) = result {
                    self.remember_problem(&name, error, now);
                } else {
                    self.memory.images.remove(&name);
                }
            }
            Outcome::Stopped(id, result) => {
                if let Err(error) = result {
                    tracing::warn!(pod = %pod_ref(&self.pod), %id, %error, "cannot stop a container");
                    self.memory.stopping.remove(&id);
                    self.held.insert(Busy::Stop(id), now + RETRY);
                }
            }
            Outcome::Removed(id) => {
                self.memory.stopping.remove(&id);
            }
            Outcome::Deleted(result) => {
                // The watch will tell that the pod is gone; should it not, it is deleted again.
                let again = if result.is_ok() { RETRY * 5 } else { RETRY };
                self.held.insert(Busy::Delete, now + again);
                if let Err(error) = result {
                    tracing::warn!(pod = %pod_ref(&self.pod), %error, "cannot delete the pod");
                }
            }
            Outcome::Reported(result) => self.reported(result, now),
        }
    }

    fn reported(&mut self, result: Result<Option<Box<Pod>>>, now: Timestamp) {
        self.reporting = false;
        match result {
            Ok(Some(pod)) => {
                // A patch that changes nothing would be sent again at once, for ever. The version is the one before it was sent: the watch
                // may have told of the change before the answer did.
                let in_vain = pod.metadata.resource_version == self.reported_over;
                self.report_after = in_vain.then(|| now + RETRY);
                self.accept(&pod);
            }
            Ok(None) => self.report_after = None,
            // Gone: the watch will say so.
            Err(error) if error.is_not_found() => self.report_after = Some(now + RETRY),
            Err(error) => {
                tracing::warn!(pod = %pod_ref(&self.pod), %error, "cannot report the status");
                self.report_after = Some(now + RETRY);
            }
        }
    }

    fn remember_problem(&mut self, name: &str, error: StartError, now: Timestamp) {
        let Some(image) = error.image else {
            let until = now + SignedDuration::from_secs(10);
            let problem = Problem { reason: error.reason, message: error.message, until, later: None };
            // A container that was made and has ended tells its own story.
            if error.reason != "PostStartHookError" {
                self.memory.problems.insert(name.to_owned(), problem);
            }
            return;
        };
        let next = Backoff::next(self.memory.images.get(name), now);
        self.memory.images.insert(name.to_owned(), next);
        let text = format!("Back-off pulling image {image:?}: {}: {}", error.reason, error.message);
        let later = Some((now + next.delay / 5, "ImagePullBackOff", text));
        let problem =
            Problem { reason: error.reason, message: error.message, until: now + next.delay, later };
        self.memory.problems.insert(name.to_owned(), problem);
    }

    /// Tells once per wait that a container waits.
    fn say_backoff(&mut self, now: Timestamp) {
        let pod = crate::pod::spec::full_name(&pod_ref(&self.pod));
        let mut tell = |name: &str, key: Timestamp, message: String| {
            if self.told_backoff.insert(name.to_owned(), key) != Some(key) {
                self.context.events.pod(&self.pod, Some(name), Level::Warning, "BackOff", message);
            }
        };
        for (name, problem) in &self.memory.problems {
            if problem.shown(now).0 == "ImagePullBackOff" {
                tell(
                    name,
                    problem.until,
                    problem.shown(now).1.split(": ").next().unwrap_or_default().to_owned(),
                );
            }
        }
        for (name, backoff) in &self.memory.crashes {
            let Some(ended) = self.observed.latest(name).filter(|c| c.state == ContainerState::Exited) else {
                continue;
            };
            let failed = ended.finished_at.unwrap_or(ended.created_at);
            if Backoff::until(Some(backoff), failed, now).is_some() && ended.reason != ContainerReason::None {
                tell(name, failed, format!("Back-off restarting failed container {name} in pod {pod}"));
            }
        }
    }
}

/// What others wrote, with what this worker last computed.
fn overlay(theirs: PodStatus, own: Option<PodStatus>) -> PodStatus {
    let Some(mut own) = own else { return theirs };
    let mine = own.conditions.take().unwrap_or_default();
    let others = theirs.conditions.unwrap_or_default();
    let is_mine = |kind: &str| OWNED.contains(&kind);
    let mut all: Vec<_> = mine.into_iter().filter(|c| is_mine(&c.type_)).collect();
    let missing: Vec<_> = others.into_iter().filter(|o| !all.iter().any(|c| c.type_ == o.type_)).collect();
    all.extend(missing);
    own.conditions = Some(all);
    own
}

/// Condition types that the node writes.
const OWNED: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

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
