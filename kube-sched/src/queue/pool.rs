//! The queue itself.

use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::hints::HintTimer;
use super::rejections::{Rejection, Rejections};
use super::waiting::Active;
use super::{Arrival, QueueConfig, QueuedPod};
use crate::framework::{ClusterEvent, EventKind, Hint, POD_ADDED, Profile};
use crate::metrics::Metrics;
use crate::pod::PodInfo;
use crate::snapshot::GateView;

/// What moves pods that found no place, in upstream's words.
const FAILURE: &str = "ScheduleAttemptFailure";
/// What moves pods whose hold has ended, in upstream's words.
const ACTIVATION: &str = "ForceActivate";

/// Where a waiting pod is. Times are part of the keys of the ordered maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    /// Woken by an event before its back-off is over. Tried at once when nobody else is waiting.
    Backoff(Instant),
    /// After a failure, which trying again at once would only repeat.
    Penalty(Instant),
    Unschedulable(Instant),
    /// Others are making room for it: see [`SchedulingQueue::hold`].
    Held(Instant),
    Gated,
}

impl Place {
    /// The queue's name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Backoff(_) | Self::Penalty(_) => "backoff",
            Self::Unschedulable(_) | Self::Held(_) => "unschedulable",
            Self::Gated => "gated",
        }
    }

    /// Whether only an event or a timeout ends the wait.
    fn waits_for_events(self) -> bool {
        matches!(self, Self::Unschedulable(_) | Self::Gated)
    }
}

#[derive(Debug)]
struct Entry {
    queued: QueuedPod,
    place: Place,
    ticket: u64,
}

/// A pod that was handed out and whose fate is open.
#[derive(Debug)]
struct InFlight {
    pod: Arc<PodInfo>,
    /// The number of the first event it has not seen.
    since: u64,
}

/// How many pods are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueSizes {
    /// Ready to be scheduled.
    pub active: usize,
    /// Waiting for the end of a back-off.
    pub backoff: usize,
    /// Waiting for an event.
    pub unschedulable: usize,
    /// Held back by a gate.
    pub gated: usize,
    /// Handed out, outcome open.
    pub in_flight: usize,
}

/// The scheduling queue. Bounded by the number of pending pods in the cluster.
#[derive(Debug)]
pub struct SchedulingQueue {
    config: QueueConfig,
    profiles: Vec<Arc<Profile>>,
    pods: HashMap<Arc<str>, Entry>,
    /// May hold outdated entries: those whose ticket is not the pod's current one.
    active: BinaryHeap<Active>,
    backoff: BTreeMap<(Instant, u64), Arc<str>>,
    penalty: BTreeMap<(Instant, u64), Arc<str>>,
    unschedulable: BTreeMap<(Instant, u64), Arc<str>>,
    gated: usize,
    /// The pods that wait for events, by the place of the kinds that may concern them and by ticket. Every pod that is placed is an event,
    /// so the pods that events do not concern must not be looked at.
    woken_by: [BTreeMap<u64, Arc<str>>; EventKind::ALL.len()],
    in_flight: HashMap<Arc<str>, InFlight>,
    events: VecDeque<ClusterEvent>,
    /// The number of the event at the front of `events`.
    first_event: u64,
    next_ticket: u64,
    arrivals: Arrivals,
    rejections: Rejections,
    hints: HintTimer,
    /// What the gates may look at.
    view: GateView,
}

impl SchedulingQueue {
    /// An empty queue for the pods of `profiles`.
    pub fn new(config: QueueConfig, profiles: impl IntoIterator<Item = Arc<Profile>>) -> Self {
        Self {
            config,
            profiles: profiles.into_iter().collect(),
            pods: HashMap::new(),
            active: BinaryHeap::new(),
            backoff: BTreeMap::new(),
            penalty: BTreeMap::new(),
            unschedulable: BTreeMap::new(),
            gated: 0,
            woken_by: Default::default(),
            in_flight: HashMap::new(),
            events: VecDeque::new(),
            first_event: 0,
            next_ticket: 0,
            arrivals: Arrivals::default(),
            rejections: Rejections::default(),
            hints: HintTimer::default(),
            view: GateView::default(),
        }
    }

    /// Tells how long queueing hints take.
    pub(crate) fn timed_by(self, metrics: Metrics) -> Self {
        Self { hints: HintTimer::new(metrics), ..self }
    }

    /// Shows the gates what they may look at from now on. Pods that are held back notice when an event tells them to look.
    pub fn show(&mut self, view: GateView) {
        self.view = view;
    }

    /// Takes in a pending pod, new or changed; returns whether it is new.
    pub fn upsert(&mut self, pod: Arc<PodInfo>, now: Instant) -> bool {
        if let Some(flight) = self.in_flight.get_mut(&pod.key) {
            let old = std::mem::replace(&mut flight.pod, Arc::clone(&pod));
            self.remember(ClusterEvent::PodUpdated { old, new: pod });
            return false;
        }
        let Some(entry) = self.pods.get_mut(&pod.key) else {
            let queued = QueuedPod {
                pod,
                attempts: 0,
                added_at: now,
                queued_at: now,
                backoff_until: now,
                rejected_by: Vec::new(),
            };
            self.enqueue(queued, POD_ADDED, now);
            return true;
        };
        let old = std::mem::replace(&mut entry.queued.pod, Arc::clone(&pod));
        let (place, mut queued) = (entry.place, entry.queued.clone());
        let event = ClusterEvent::PodUpdated { old: Arc::clone(&old), new: pod };
        let moves = match place {
            // The heap's order depends on the priority, so a changed pod enters it anew.
            Place::Active => old.priority != queued.pod.priority,
            Place::Backoff(_) | Place::Penalty(_) | Place::Held(_) => false,
            Place::Unschedulable(_) => self.worth_retrying(&queued, &event),
            Place::Gated => true,
        };
        if moves {
            self.take(&old.key);
            if place == Place::Gated {
                // Nobody could have scheduled it before.
                queued.added_at = now;
            }
            self.enqueue(queued, event.label(), now);
        }
        false
    }

    /// Forgets a pod that is gone, bound or none of ours any more; returns whether it was waiting.
    pub fn remove(&mut self, key: &str) -> bool {
        let waited = self.take(key).is_some();
        self.done(key);
        waited
    }

    /// Hands out the pod that goes first. Its fate must be reported by [`done`](Self::done) or [`fail`](Self::fail).
    pub fn pop(&mut self, now: Instant) -> Option<QueuedPod> {
        self.flush(now);
        let key =
            self.first_active().or_else(|| self.backoff.first_key_value().map(|(_, key)| Arc::clone(key)))?;
        let mut queued = self.take(&key)?.queued;
        queued.attempts += 1;
        let since = self.first_event + self.events.len() as u64;
        self.in_flight.insert(key, InFlight { pod: Arc::clone(&queued.pod), since });
        Some(queued)
    }

    /// The key of the active pod that goes first.
    fn first_active(&mut self) -> Option<Arc<str>> {
        loop {
            let Active { queued, ticket, .. } = self.active.pop()?;
            if self.pods.get(&queued.pod.key).is_some_and(|entry| entry.ticket == ticket) {
                return Some(Arc::clone(&queued.pod.key));
            }
        }
    }

    /// The pod handed out has found its place.
    pub fn done(&mut self, key: &str) {
        if self.in_flight.remove(key).is_some() {
            self.drop_seen_events();
        }
    }

    /// The pod handed out found no place: it waits for an event that one of `rejected_by` cares about, or, if that is
    /// empty, for the end of a back-off. A pod that was removed in the meantime is dropped.
    pub fn fail(&mut self, queued: QueuedPod, rejected_by: Vec<&'static str>, now: Instant) {
        let Some((queued, since)) = self.take_back(queued, rejected_by, now) else { return };
        let missed = since < self.first_event;
        let seen = usize::try_from(since.saturating_sub(self.first_event)).unwrap_or(usize::MAX);
        let woken = missed || self.events.iter().skip(seen).any(|event| self.worth_retrying(&queued, event));
        if queued.rejected_by.is_empty() || woken {
            self.enqueue(queued, FAILURE, now);
        } else {
            self.put(queued, Place::Unschedulable(now), FAILURE);
        }
        self.drop_seen_events();
    }

    /// The pod handed out found no place, but its victims are about to make room: it waits for [`release`](Self::release),
    /// whatever happens meanwhile. Each victim that goes would otherwise wake every pod that waits for its own, in vain.
    pub fn hold(&mut self, queued: QueuedPod, rejected_by: Vec<&'static str>, now: Instant) {
        if let Some((queued, _)) = self.take_back(queued, rejected_by, now) {
            self.put(queued, Place::Held(now), FAILURE);
            self.drop_seen_events();
        }
    }

    /// Ends a [`hold`](Self::hold): the pod is tried again.
    pub fn release(&mut self, key: &str, now: Instant) {
        if self.is_held(key) {
            self.requeue(key, ACTIVATION, now);
        }
    }

    /// Ends a [`hold`](Self::hold) that was in vain: the pod is tried again after its back-off, even if nobody else waits.
    pub fn give_up(&mut self, key: &str, now: Instant) {
        if self.is_held(key)
            && let Some(Entry { queued, .. }) = self.take(key)
        {
            self.enqueue(QueuedPod { rejected_by: Vec::new(), ..queued }, FAILURE, now);
        }
    }

    fn is_held(&self, key: &str) -> bool {
        self.pods.get(key).is_some_and(|entry| matches!(entry.place, Place::Held(_)))
    }

    /// A pod that was handed out, after its attempt, and the number of the first event it has not seen; `None` if it was
    /// removed in the meantime.
    fn take_back(
        &mut self,
        mut queued: QueuedPod,
        rejected_by: Vec<&'static str>,
        now: Instant,
    ) -> Option<(QueuedPod, u64)> {
        let InFlight { pod, since } = self.in_flight.remove(&queued.pod.key)?;
        if pod.uid != queued.pod.uid {
            queued.attempts = 0;
        }
        queued.pod = pod;
        queued.queued_at = now;
        queued.backoff_until = now + self.config.backoff(queued.attempts);
        queued.rejected_by = rejected_by;
        Some((queued, since))
    }

    /// Puts a pod back whose binding failed, to be tried again after a back-off.
    pub fn retry(&mut self, queued: QueuedPod, now: Instant) {
        if !self.pods.contains_key(&queued.pod.key) && !self.in_flight.contains_key(&queued.pod.key) {
            let backoff_until = now + self.config.backoff(queued.attempts);
            let queued = QueuedPod { queued_at: now, backoff_until, rejected_by: Vec::new(), ..queued };
            self.enqueue(queued, FAILURE, now);
        }
    }

    /// Wakes the pods that `event` may help.
    pub fn on_event(&mut self, event: &ClusterEvent, now: Instant) {
        let waiting = self.woken_by.get(event.kind() as usize).into_iter().flatten();
        let wakes = |key| self.pods.get(key).is_some_and(|entry| self.worth_retrying(&entry.queued, event));
        // In the order in which they came, wherever they waited.
        let woken: Vec<_> = waiting.map(|(_, key)| key).filter(|key| wakes(*key)).cloned().collect();
        for key in woken {
            self.requeue(&key, event.label(), now);
        }
        if !self.in_flight.is_empty() {
            self.remember(event.clone());
        }
    }

    /// Ends back-offs that are over and retries pods that have been unschedulable for too long.
    pub fn flush(&mut self, now: Instant) {
        while let Some(key) = first_until(&self.backoff, now).or_else(|| first_until(&self.penalty, now)) {
            self.requeue(&key, "BackoffComplete", now);
        }
        // A time before the start of the clock is one at which nobody was waiting.
        let Some(since) = now.checked_sub(self.config.max_unschedulable) else { return };
        while let Some(key) = first_until(&self.unschedulable, since) {
            self.requeue(&key, "UnschedulableTimeout", now);
        }
    }

    /// When [`flush`](Self::flush) has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let first =
            |queue: &BTreeMap<(Instant, u64), _>| queue.first_key_value().map(|((until, _), _)| *until);
        let leftover = first(&self.unschedulable).map(|since| since + self.config.max_unschedulable);
        [first(&self.backoff), first(&self.penalty), leftover].into_iter().flatten().min()
    }

    /// How many pods are where.
    #[must_use]
    pub fn sizes(&self) -> QueueSizes {
        let (backoff, unschedulable, gated) =
            (self.backoff.len() + self.penalty.len(), self.unschedulable.len(), self.gated);
        let active = self.pods.len() - backoff - unschedulable - gated;
        QueueSizes { active, backoff, unschedulable, gated, in_flight: self.in_flight.len() }
    }

    /// Whether a pod could be handed out without waiting.
    #[must_use]
    pub fn has_active(&self) -> bool {
        !self.active.is_empty() || !self.backoff.is_empty()
    }

    /// Which pods entered which queue, and how many, since the last call.
    pub fn take_arrivals(&mut self) -> BTreeMap<Arrival, u64> {
        self.arrivals.take()
    }

    /// The plugins that refused pods that are in the queue, if that has changed since the last call.
    pub fn take_rejections(&mut self) -> impl Iterator<Item = Rejection> {
        self.rejections.take_changed()
    }

    /// The names of the events that are kept for the pods that were handed out, one for each event.
    pub fn kept_events(&self) -> impl Iterator<Item = &'static str> {
        self.events.iter().map(ClusterEvent::label)
    }

    fn requeue(&mut self, key: &str, cause: &'static str, now: Instant) {
        if let Some(entry) = self.take(key) {
            self.enqueue(entry.queued, cause, now);
        }
    }

    /// Puts a pod where its gates and its back-off want it.
    fn enqueue(&mut self, mut queued: QueuedPod, cause: &'static str, now: Instant) {
        let gate = self.profile_of(&queued.pod).and_then(|profile| {
            let mut plugins = profile.plugins.iter().map(|enabled| &enabled.plugin);
            plugins
                .find(|plugin| {
                    plugin
                        .as_pre_enqueue()
                        .is_some_and(|gate| gate.pre_enqueue(&queued.pod, &self.view).is_err())
                })
                .map(|plugin| plugin.name())
        });
        let place = match gate {
            Some(plugin) => {
                queued.rejected_by = vec![plugin];
                Place::Gated
            }
            None if queued.backoff_until <= now => Place::Active,
            None if queued.rejected_by.is_empty() => Place::Penalty(queued.backoff_until),
            None => Place::Backoff(queued.backoff_until),
        };
        self.put(queued, place, cause);
    }

    fn put(&mut self, queued: QueuedPod, place: Place, cause: &'static str) {
        let Some((number, profile)) = self.numbered_profile(&queued.pod) else { return };
        let profile = Arc::clone(profile);
        self.rejections.enter(number, &queued.rejected_by);
        self.arrivals.count(place.name(), cause);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let key = Arc::clone(&queued.pod.key);
        if place.waits_for_events() {
            for kind in interests(&profile, &queued) {
                if let Some(pods) = self.woken_by.get_mut(kind as usize) {
                    pods.insert(ticket, Arc::clone(&key));
                }
            }
        }
        match place {
            Place::Active => self.active.push(Active { queued: queued.clone(), ticket, profile }),
            Place::Backoff(until) => drop(self.backoff.insert((until, ticket), Arc::clone(&key))),
            Place::Penalty(until) => drop(self.penalty.insert((until, ticket), Arc::clone(&key))),
            Place::Unschedulable(since) | Place::Held(since) => {
                self.unschedulable.insert((since, ticket), Arc::clone(&key));
            }
            Place::Gated => self.gated += 1,
        }
        self.pods.insert(key, Entry { queued, place, ticket });
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.pods.remove(key)?;
        let refused = !entry.queued.rejected_by.is_empty();
        if let (true, Some((number, _))) = (refused, self.numbered_profile(&entry.queued.pod)) {
            self.rejections.leave(number, &entry.queued.rejected_by);
        }
        match entry.place {
            Place::Backoff(until) => drop(self.backoff.remove(&(until, entry.ticket))),
            Place::Penalty(until) => drop(self.penalty.remove(&(until, entry.ticket))),
            Place::Unschedulable(since) | Place::Held(since) => {
                self.unschedulable.remove(&(since, entry.ticket));
            }
            Place::Gated => self.gated -= 1,
            Place::Active => {}
        }
        if entry.place.waits_for_events() {
            self.woken_by.iter_mut().for_each(|pods| drop(pods.remove(&entry.ticket)));
        }
        Some(entry)
    }

    fn profile_of(&self, pod: &PodInfo) -> Option<&Arc<Profile>> {
        self.numbered_profile(pod).map(|(_, profile)| profile)
    }

    fn numbered_profile(&self, pod: &PodInfo) -> Option<(usize, &Arc<Profile>)> {
        let mut profiles = self.profiles.iter().enumerate();
        profiles.find(|(_, profile)| profile.scheduler_name == pod.scheduler_name())
    }

    /// Whether one of the plugins that refused the pod thinks that `event` may help it.
    fn worth_retrying(&self, queued: &QueuedPod, event: &ClusterEvent) -> bool {
        let Some(profile) = self.profile_of(&queued.pod) else { return false };
        let cares = |name: &&'static str| {
            let hints = profile.plugin(name).and_then(|plugin| plugin.as_queueing_hints());
            hints.is_none_or(|hints| {
                self.hints.time(name, event, || hints.hint(&queued.pod, event)) == Hint::Queue
            })
        };
        queued.rejected_by.is_empty() || queued.rejected_by.iter().any(cares)
    }

    fn remember(&mut self, event: ClusterEvent) {
        self.events.push_back(event);
        if self.events.len() > self.config.max_events {
            self.events.pop_front();
            self.first_event += 1;
        }
    }

    fn drop_seen_events(&mut self) {
        let end = self.first_event + self.events.len() as u64;
        let needed = self.in_flight.values().map(|flight| flight.since).min().unwrap_or(end);
        while self.first_event < needed && self.events.pop_front().is_some() {
            self.first_event += 1;
        }
    }
}

/// The first pod of a queue whose time has come.
fn first_until(queue: &BTreeMap<(Instant, u64), Arc<str>>, now: Instant) -> Option<Arc<str>> {
    queue.first_key_value().filter(|((until, _), _)| *until <= now).map(|(_, key)| Arc::clone(key))
}

/// The kinds of events that one of the plugins that refused the pod wants to hear of; some more than once.
fn interests(profile: &Profile, queued: &QueuedPod) -> impl Iterator<Item = EventKind> {
    let of = move |name: &&'static str| {
        let hints = profile.plugin(name).and_then(|plugin| plugin.as_queueing_hints());
        hints.map_or(EventKind::ALL, |hints| hints.events())
    };
    queued.rejected_by.iter().flat_map(of).copied()
}
