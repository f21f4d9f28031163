//! The scheduler without its I/O: changes in, commands out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use k8s_openapi::api::resource::v1::ResourceClaim;
use tokio::time::Instant;

use super::evictions::{Ended, Evictions};
use super::handling::{Evaluations, Handling};
use super::outbox::Nomination;
use super::run::UNSCHEDULABLE;
use super::timer::{Sampling, Timer};
use super::waiting::{Waiter, WaitingPods};
use super::watched::ObjectChange;
use crate::Config;
use crate::framework::{
    Binding, ClusterEvent, Cycle, NodeStatus, POD_ADDED, PermitDecision, Preemption, Profile, Reserve, Status,
};
use crate::metrics::{CacheSizes, Metrics, SUCCESS, WAIT, status};
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::queue::{QueuedPod, SchedulingQueue};
use crate::schedule::{Decision, FailedAt, Outcome, Reuse};
use crate::snapshot::{DevicePlan, GangKey, GateView, Snapshot, VolumePlan};

/// What the driver has to do after a scheduling cycle.
#[derive(Debug)]
pub(super) enum Command {
    /// Bind the pod, then report with [`Core::bound`].
    Bind(Placement),
    /// Tell the user why the pod is not placed, and carry out a preemption.
    Refuse(Refusal),
}

/// A pod and its node, and what has to be done for it there.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) queued: QueuedPod,
    pub(super) node: Arc<str>,
    pub(super) profile: Arc<Profile>,
    pub(super) volumes: Option<Arc<VolumePlan>>,
    pub(super) devices: Option<Arc<DevicePlan>>,
    pub(super) waiter: Option<Waiter>,
}

/// A pod without a node, and what may give it one.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) pod: Arc<PodInfo>,
    pub(super) message: String,
    pub(super) reason: &'static str,
    pub(super) nomination: Nomination,
    pub(super) victims: Vec<Arc<PodInfo>>,
    pub(super) deallocation: Option<Arc<ResourceClaim>>,
}

/// The scheduler's state.
#[derive(Debug)]
pub(super) struct Core {
    snapshot: Snapshot,
    queue: SchedulingQueue,
    profiles: Vec<Served>,
    rng: Rng,
    waiting: WaitingPods,
    evictions: Evictions,
    metrics: Metrics,
    sampling: Sampling,
    handling: Handling,
    /// How many events of each name are kept for pods that are being scheduled, as it was last told.
    kept_events: BTreeMap<&'static str, usize>,
}

/// A profile, and what is kept from its last decision: pods of a kind mostly come one after the other.
#[derive(Debug)]
struct Served {
    profile: Arc<Profile>,
    reuse: Reuse,
    evaluations: Evaluations,
}

/// The parts of the scheduler that a decision reads, and its generator.
pub(super) struct Stage<'a> {
    pub(super) cycle: Cycle<'a>,
    pub(super) profile: &'a Profile,
    pub(super) reuse: &'a mut Reuse,
    pub(super) rng: &'a mut Rng,
    pub(super) timer: Timer<'a>,
}

/// The plugins that hold a pod back, and for how long each.
type Holds = Vec<(&'static str, Duration)>;

/// Who has refused the chosen node or failed, and when.
type TurnedDown = (FailedAt, &'static str, Status);

impl Core {
    pub(super) fn new(config: &Config) -> Self {
        let served = |profile: &Profile| Served {
            profile: Arc::new(profile.clone()),
            reuse: Reuse::default(),
            evaluations: Evaluations::new(&config.metrics, profile),
        };
        let profiles: Vec<_> = config.profiles.iter().map(served).collect();
        Self {
            snapshot: Snapshot::new(),
            queue: SchedulingQueue::new(
                config.queue.clone(),
                profiles.iter().map(|served| Arc::clone(&served.profile)),
            )
            .timed_by(config.metrics.clone()),
            profiles,
            rng: Rng::with_seed(config.seed),
            waiting: config.waiting_pods.clone(),
            evictions: Evictions::default(),
            metrics: config.metrics.clone(),
            sampling: Sampling::default(),
            handling: Handling::default(),
            kept_events: BTreeMap::new(),
        }
    }

    pub(super) fn has_active(&self) -> bool {
        self.queue.has_active()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queue.next_deadline()
    }

    pub(super) fn flush(&mut self, now: Instant) {
        self.queue.flush(now);
    }

    pub(super) fn node_applied(&mut self, new: Arc<NodeInfo>, now: Instant) {
        let old = self.snapshot.node(&new.name).and_then(|view| view.info()).cloned();
        if old.as_ref() == Some(&new) {
            return;
        }
        self.snapshot.upsert_node(Arc::clone(&new));
        let event = match old {
            Some(old) => ClusterEvent::NodeUpdated { old, new },
            None => ClusterEvent::NodeAdded(new),
        };
        self.announce(&event, now);
    }

    pub(super) fn node_deleted(&mut self, name: &str, now: Instant) {
        let Some(info) = self.snapshot.node(name).and_then(|view| view.info()).cloned() else { return };
        self.snapshot.remove_node(name);
        self.announce(&ClusterEvent::NodeRemoved(info), now);
    }

    pub(super) fn pod_applied(&mut self, pod: Arc<PodInfo>, now: Instant) {
        let goes = self.evictions.is_over(&pod);
        let key = Arc::clone(&pod.key);
        self.take_in(pod, now);
        if goes {
            self.evicted(&key, now);
        }
    }

    fn take_in(&mut self, pod: Arc<PodInfo>, now: Instant) {
        self.count_member(&pod, now);
        if pod.node_name.is_some() && !pod.is_finished() {
            return self.placed(pod, now);
        }
        let known = self.snapshot.pod(&pod.key).map(|known| Arc::clone(&known.uid));
        if known.is_some_and(|uid| uid == pod.uid)
            && self.snapshot.is_assumed(&pod.key)
            && !pod.is_finished()
            && !pod.is_terminating()
        {
            // Its binding is under way; this is an echo of an earlier state.
            return;
        }
        self.unplaced(&pod.key, now);
        if pod.is_finished() || pod.is_terminating() || served(&mut self.profiles, &pod).is_none() {
            self.snapshot.withdraw_nomination(&pod.key);
            self.evictions.forget(&pod.key);
            return self.left(&pod.key, now);
        }
        match pod.nominated_node() {
            Some(node) => self.snapshot.nominate(Arc::clone(&pod), node.into()),
            None => self.snapshot.withdraw_nomination(&pod.key),
        }
        let new = self.queue.upsert(pod, now);
        self.handled(if new { POD_ADDED } else { "UnschedulablePodUpdate" }, now);
    }

    /// Tells the pods that wait of what has happened. `now` is when handling it began.
    fn announce(&mut self, event: &ClusterEvent, now: Instant) {
        self.queue.on_event(event, now);
        self.handled(event.label(), now);
    }

    fn handled(&mut self, event: &'static str, start: Instant) {
        self.handling.ended(&self.metrics, event, start);
    }

    /// A pod waits no more and is not placed.
    fn left(&mut self, key: &str, now: Instant) {
        if self.queue.remove(key) {
            self.handled("UnschedulablePodDelete", now);
        }
    }

    /// Pods of a group wait for each other.
    fn count_member(&mut self, pod: &Arc<PodInfo>, now: Instant) {
        if GangKey::of(pod).is_none() {
            return;
        }
        let counts =
            !pod.is_finished() && (pod.node_name.is_some() || served(&mut self.profiles, pod).is_some());
        if !counts {
            return self.forget_member(&pod.key);
        }
        if !self.snapshot.gangs().has(&pod.key) && self.snapshot.gangs_mut().join(pod) {
            self.queue.show(self.snapshot.gate_view());
            self.queue.on_event(&ClusterEvent::GangMemberArrived(Arc::clone(pod)), now);
        }
    }

    fn forget_member(&mut self, key: &str) {
        if self.snapshot.gangs().has(key) {
            self.snapshot.gangs_mut().leave(key);
            self.queue.show(self.snapshot.gate_view());
        }
    }

    pub(super) fn pod_deleted(&mut self, key: &str, now: Instant) {
        self.forget_member(key);
        self.snapshot.withdraw_nomination(key);
        self.evictions.forget(key);
        self.left(key, now);
        self.unplaced(key, now);
        self.waiting.reject(key, "", "removed");
        self.evicted(key, now);
    }

    /// A pod goes or is gone. Whoever waits for no other victim may be tried again.
    fn evicted(&mut self, victim: &str, now: Instant) {
        if let Some(ended) = self.evictions.ended(victim) {
            self.has_room(&ended, now);
        }
    }

    fn has_room(&mut self, Ended { preemptor, since }: &Ended, now: Instant) {
        self.metrics.made_room(true, now.duration_since(*since));
        self.queue.release(preemptor, now);
    }

    /// A pod that was to make room will not go.
    pub(super) fn eviction_refused(&mut self, victim: &str, now: Instant) {
        if let Some(Ended { preemptor, since }) = self.evictions.failed(victim) {
            self.metrics.made_room(false, now.duration_since(since));
            self.queue.give_up(&preemptor, now);
        }
    }

    fn placed(&mut self, pod: Arc<PodInfo>, now: Instant) {
        self.evictions.forget(&pod.key);
        self.queue.remove(&pod.key);
        let old = self.snapshot.pod(&pod.key).filter(|old| old.uid == pod.uid).cloned();
        let confirmed = self.snapshot.is_assumed(&pod.key);
        self.snapshot.upsert_pod(Arc::clone(&pod));
        let event = match old {
            // The pods that wait have heard of it when it was assumed.
            Some(old) if confirmed && old.node_name == pod.node_name => {
                return self.handled("AssignedPodAdd", now);
            }
            Some(old) if old.asks_the_same(&pod) => return self.handled("AssignedPodUpdate", now),
            Some(old) => ClusterEvent::PlacedPodUpdated { old, new: pod },
            None => ClusterEvent::PodPlaced(pod),
        };
        self.announce(&event, now);
    }

    fn unplaced(&mut self, key: &str, now: Instant) {
        if let Some(pod) = self.snapshot.pod(key).cloned() {
            self.snapshot.remove_pod(key);
            self.announce(&ClusterEvent::PodRemoved(pod), now);
        }
    }

    /// The snapshot takes in an object that is neither a node nor a pod.
    pub(super) fn object_changed(&mut self, change: ObjectChange, now: Instant) {
        // What nobody else looks at is changed where it is.
        self.queue.show(GateView::default());
        let event = change.apply(&mut self.snapshot);
        self.queue.show(self.snapshot.gate_view());
        if let Some(event) = event {
            self.announce(&event, now);
        }
    }

    /// Schedules the pod that goes first; `None` when none is waiting.
    pub(super) fn step(&mut self, now: Instant) -> Option<Command> {
        let queued = self.pop(now)?;
        let decision = self.decide(&queued.pod)?;
        self.act(queued, decision, now)
    }

    /// The pod that goes first. What becomes of it is told by [`act`](Self::act).
    pub(super) fn pop(&mut self, now: Instant) -> Option<QueuedPod> {
        self.queue.pop(now)
    }

    /// Decides where a pod runs.
    pub(super) fn decide(&mut self, pod: &PodInfo) -> Option<Decision> {
        let Served { profile, reuse, evaluations } = served(&mut self.profiles, pod)?;
        let start = Instant::now();
        let mut timer = self.sampling.timer(&self.metrics, &profile.scheduler_name, evaluations);
        let decision = reuse.schedule_observed(&self.snapshot, pod, profile, &mut self.rng, &mut timer);
        self.metrics.decided(start.elapsed());
        Some(decision)
    }

    /// What a decision in several stages is made of.
    pub(super) fn stage<'a>(&'a mut self, pod: &'a PodInfo) -> Option<Stage<'a>> {
        let Served { profile, reuse, evaluations } = served(&mut self.profiles, pod)?;
        let cycle = Cycle { snapshot: &self.snapshot, pod };
        reuse.prepare(cycle.snapshot, pod, profile);
        let timer = self.sampling.timer(&self.metrics, &profile.scheduler_name, evaluations);
        Some(Stage { cycle, profile, reuse, rng: &mut self.rng, timer })
    }

    /// Carries a decision out as far as the scheduler's own state is concerned.
    pub(super) fn act(&mut self, queued: QueuedPod, decision: Decision, now: Instant) -> Option<Command> {
        let profile = Arc::clone(&served(&mut self.profiles, &queued.pod)?.profile);
        let Some(node) = decision.node().cloned() else {
            let pod = Arc::clone(&queued.pod);
            let refusal = self.refuse(queued, &decision, now);
            self.recycle(&pod, decision);
            return Some(Command::Refuse(refusal));
        };
        let binding = Binding { pod: &queued.pod, node: &node, volumes: None, devices: None };
        let holds = match self.reserve(&profile, &binding) {
            Ok(holds) => holds,
            Err(refusal) => {
                unreserve(&mut self.snapshot, &profile, &binding);
                let refused = self.turned_down(decision, &node, refusal);
                return Some(Command::Refuse(self.refuse(queued, &refused, now)));
            }
        };
        self.recycle(&queued.pod, decision);
        Some(Command::Bind(self.place(queued, node, profile, &holds, now)))
    }

    /// The pod counts as placed from now on, also while somebody holds its binding back.
    fn place(
        &mut self,
        queued: QueuedPod,
        node: Arc<str>,
        profile: Arc<Profile>,
        holds: &Holds,
        now: Instant,
    ) -> Placement {
        self.snapshot.assume(&queued.pod, &node);
        self.queue.done(&queued.pod.key);
        if let Some(pod) = self.snapshot.pod(&queued.pod.key).cloned() {
            self.queue.on_event(&ClusterEvent::PodPlaced(pod), now);
        }
        let wait = || self.waiting.add(Arc::clone(&queued.pod), Arc::clone(&node), holds, now);
        let waiter = (!holds.is_empty()).then(wait);
        let volumes = self.snapshot.storage().plan(&queued.pod.key).cloned();
        let devices = self.snapshot.devices().plan(&queued.pod.key).cloned();
        Placement { queued, node, profile, volumes, devices, waiter }
    }

    /// Gives a decision's memory back to where it came from.
    fn recycle(&mut self, pod: &PodInfo, decision: Decision) {
        if let Some(served) = served(&mut self.profiles, pod) {
            served.reuse.recycle(decision);
        }
    }

    /// Asks the reserve plugins and then the permit plugins.
    fn reserve(&mut self, profile: &Profile, binding: &Binding<'_>) -> Result<Holds, TurnedDown> {
        let start = Instant::now();
        let reserved = plugins(profile).try_for_each(|(name, plugin)| {
            plugin.reserve(&mut self.snapshot, binding).map_err(|status| (name, status))
        });
        let code = |(_, refused): &(&str, Status)| refused.code;
        let verdict = status(reserved.as_ref().err().map(code));
        self.metrics.point("Reserve", verdict, &profile.scheduler_name, start.elapsed());
        reserved.map_err(|(plugin, status)| (FailedAt::Reserve, plugin, status))?;
        let start = Instant::now();
        let permitted = permit(&self.snapshot, &self.waiting, profile, binding);
        let verdict = match &permitted {
            Ok(holds) if holds.is_empty() => SUCCESS,
            Ok(_) => WAIT,
            Err(refused) => status(Some(code(refused))),
        };
        self.metrics.point("Permit", verdict, &profile.scheduler_name, start.elapsed());
        permitted.map_err(|(plugin, status)| (FailedAt::Permit, plugin, status))
    }

    /// The decision as it is after a plugin has refused the chosen node.
    fn turned_down(&self, decision: Decision, node: &str, (stage, plugin, status): TurnedDown) -> Decision {
        if !status.is_rejection() {
            return Decision { outcome: Outcome::Failed { stage, plugin, status }, ..decision };
        }
        let node = self.snapshot.node(node).map(|view| view.id()).unwrap_or_default();
        let refused = vec![NodeStatus { node, plugin, status }];
        Decision { outcome: Outcome::Unschedulable, total_nodes: 1, refused, ..decision }
    }

    /// Tells the metrics what is known and how many pods are where.
    pub(super) fn measure(&mut self) {
        let (sizes, (pods, assumed)) = (self.queue.sizes(), self.snapshot.population());
        self.metrics.cached(CacheSizes { nodes: self.snapshot.node_count(), pods, assumed });
        self.metrics.pending(sizes);
        self.metrics.in_flight("PodPopped", sizes.in_flight);
        self.kept_events.values_mut().for_each(|number| *number = 0);
        for event in self.queue.kept_events() {
            *self.kept_events.entry(event).or_default() += 1;
        }
        self.kept_events.iter().for_each(|(event, number)| self.metrics.in_flight(event, *number));
        for rejection in self.queue.take_rejections() {
            if let Some(served) = self.profiles.get(rejection.profile) {
                let profile = &served.profile.scheduler_name;
                self.metrics.unschedulable(rejection.plugin, profile, rejection.pods);
            }
        }
        for (arrival, number) in self.queue.take_arrivals() {
            self.metrics.incoming(arrival, number);
        }
    }

    fn refuse(&mut self, queued: QueuedPod, decision: &Decision, now: Instant) -> Refusal {
        let pod = Arc::clone(&queued.pod);
        let failed = matches!(decision.outcome, Outcome::Failed { .. });
        let rejected_by = if failed { Vec::new() } else { self.waits_for(decision) };
        self.evictions.forget(&pod.key);
        let (nomination, victims) = match &decision.preemption {
            Some(preemption) => {
                self.metrics.preempted(preemption.victims.len());
                self.preempt(&pod, preemption, now)
            }
            None if decision.gives_up_nomination => {
                self.snapshot.withdraw_nomination(&pod.key);
                (Nomination::Clear, Vec::new())
            }
            None => (Nomination::Keep, Vec::new()),
        };
        if self.evictions.awaits(&pod.key) {
            self.queue.hold(queued, rejected_by, now);
        } else {
            self.queue.fail(queued, rejected_by, now);
        }
        let reason = if failed { "SchedulerError" } else { UNSCHEDULABLE };
        let deallocation = decision.deallocation.clone();
        Refusal { pod, message: decision.message(), reason, nomination, victims, deallocation }
    }

    /// The plugins whose events wake the pod; the node name's when there is no node at all.
    fn waits_for(&self, decision: &Decision) -> Vec<&'static str> {
        if decision.total_nodes == 0 {
            vec!["NodeUnschedulable", "NodeResourcesFit"]
        } else {
            decision.rejected_by()
        }
    }

    fn preempt(
        &mut self,
        pod: &Arc<PodInfo>,
        preemption: &Preemption,
        now: Instant,
    ) -> (Nomination, Vec<Arc<PodInfo>>) {
        let victims: Vec<_> =
            preemption.victims.iter().filter_map(|key| self.snapshot.pod(key).cloned()).collect();
        let Some(node) = self.snapshot.view(preemption.node).info().map(|info| Arc::clone(&info.name)) else {
            return (Nomination::Keep, victims);
        };
        self.snapshot.nominate(Arc::clone(pod), Arc::clone(&node));
        let going = victims.iter().filter(|victim| !victim.is_terminating());
        let released = self.evictions.begin(&pod.key, going, now);
        released.iter().for_each(|other| self.has_room(other, now));
        if !self.evictions.awaits(&pod.key) {
            // All of them go already.
            self.metrics.made_room(true, Duration::ZERO);
        }
        (Nomination::Node(node), victims)
    }

    /// A binding has ended. A pod whose binding failed leaves its node and is tried again, unless it is gone.
    pub(super) fn bound(
        &mut self,
        queued: QueuedPod,
        node: &str,
        profile: &Profile,
        failure: Option<&crate::Error>,
        now: Instant,
    ) {
        let Some(error) = failure else {
            if self.snapshot.storage().plan(&queued.pod.key).is_some() {
                self.snapshot.storage_mut().drop_plan(&queued.pod.key);
            }
            if self.snapshot.devices().plan(&queued.pod.key).is_some() {
                self.snapshot.devices_mut().drop_plan(&queued.pod.key);
            }
            return;
        };
        let binding = Binding { pod: &queued.pod, node, volumes: None, devices: None };
        unreserve(&mut self.snapshot, profile, &binding);
        if !self.snapshot.is_assumed(&queued.pod.key) {
            // Confirmed, deleted or replaced in the meantime.
            return;
        }
        self.unplaced(&queued.pod.key, now);
        if !matches!(error, crate::Error::Gone(_)) {
            self.queue.retry(queued, now);
        }
    }
}

/// The profile of a pod, if it is one of ours.
fn served<'a>(profiles: &'a mut [Served], pod: &PodInfo) -> Option<&'a mut Served> {
    profiles.iter_mut().find(|served| served.profile.scheduler_name == pod.scheduler_name())
}

fn plugins(profile: &Profile) -> impl Iterator<Item = (&'static str, &dyn Reserve)> {
    profile.plugins.iter().filter_map(|enabled| Some((enabled.plugin.name(), enabled.plugin.as_reserve()?)))
}

fn permit(
    snapshot: &Snapshot,
    waiting: &WaitingPods,
    profile: &Profile,
    binding: &Binding<'_>,
) -> Result<Holds, (&'static str, Status)> {
    let mut holds = Holds::new();
    for plugin in profile.plugins.iter().map(|enabled| &enabled.plugin) {
        let Some(permit) = plugin.as_permit() else { continue };
        match permit.permit(snapshot, binding).map_err(|status| (plugin.name(), status))? {
            PermitDecision::Allow => {}
            PermitDecision::AllowTogether(others) => {
                others.iter().for_each(|key| _ = waiting.allow(key, plugin.name()));
            }
            PermitDecision::Wait(limit) => holds.push((plugin.name(), limit)),
        }
    }
    Ok(holds)
}

fn unreserve(snapshot: &mut Snapshot, profile: &Profile, binding: &Binding<'_>) {
    plugins(profile).for_each(|(_, plugin)| plugin.unreserve(snapshot, binding));
}
