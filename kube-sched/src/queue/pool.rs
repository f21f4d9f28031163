//! The queue itself.

use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::waiting::Active;
use super::{QueueConfig, QueuedPod};
use crate::framework::{ClusterEvent, Hint, Profile};
use crate::pod::PodInfo;

/// Where a waiting pod is. Times are part of the keys of the ordered maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    Backoff(Instant),
    Unschedulable(Instant),
    Gated,
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
    profiles: BTreeMap<String, Arc<Profile>>,
    pods: HashMap<Arc<str>, Entry>,
    /// May hold outdated entries: those whose ticket is not the pod's current one.
    active: BinaryHeap<Active>,
    backoff: BTreeMap<(Instant, u64), Arc<str>>,
    unschedulable: BTreeMap<(Instant, u64), Arc<str>>,
    /// By ticket.
    gated: BTreeMap<u64, Arc<str>>,
    in_flight: HashMap<Arc<str>, InFlight>,
    events: VecDeque<ClusterEvent>,
    /// The number of the event at the front of `events`.
    first_event: u64,
    next_ticket: u64,
}

impl SchedulingQueue {
    /// An empty queue for the pods of `profiles`.
    pub fn new(config: QueueConfig, profiles: impl IntoIterator<Item = Arc<Profile>>) -> Self {
        Self {
            config,
            profiles: profiles.into_iter().map(|profile| (profile.scheduler_name.clone(), profile)).collect(),
            pods: HashMap::new(),
            active: BinaryHeap::new(),
            backoff: BTreeMap::new(),
            unschedulable: BTreeMap::new(),
            gated: BTreeMap::new(),
            in_flight: HashMap::new(),
            events: VecDeque::new(),
            first_event: 0,
            next_ticket: 0,
        }
    }

    /// Takes in a pending pod, new or changed.
    pub fn upsert(&mut self, pod: Arc<PodInfo>, now: Instant) {
        if let Some(flight) = self.in_flight.get_mut(&pod.key) {
            let old = std::mem::replace(&mut flight.pod, Arc::clone(&pod));
            self.remember(ClusterEvent::PodUpdated { old, new: pod });
            return;
        }
        let Some(entry) = self.pods.get_mut(&pod.key) else {
            let queued =
                QueuedPod { pod, attempts: 0, queued_at: now, backoff_until: now, rejected_by: Vec::new() };
            return self.enqueue(queued, now);
        };
        let old = std::mem::replace(&mut entry.queued.pod, Arc::clone(&pod));
        let (place, queued) = (entry.place, entry.queued.clone());
        let event = ClusterEvent::PodUpdated { old: Arc::clone(&old), new: pod };
        let moves = match place {
            // The heap's order depends on the priority, so a changed pod enters it anew.
            Place::Active => old.priority != queued.pod.priority,
            Place::Backoff(_) => false,
            Place::Unschedulable(_) => self.worth_retrying(&queued, &event),
            Place::Gated => true,
        };
        if moves {
            self.take(&old.key);
            self.enqueue(queued, now);
        }
    }

    /// Forgets a pod that is gone, bound or none of ours any more.
    pub fn remove(&mut self, key: &str) {
        self.take(key);
        self.done(key);
    }

    /// Hands out the pod that goes first. Its fate must be reported by [`done`](Self::done) or [`fail`](Self::fail).
    pub fn pop(&mut self, now: Instant) -> Option<QueuedPod> {
        self.flush(now);
        loop {
            let Active { queued, ticket, .. } = self.active.pop()?;
            if self.pods.get(&queued.pod.key).is_none_or(|entry| entry.ticket != ticket) {
                continue;
            }
            let mut queued = self.take(&queued.pod.key)?.queued;
            queued.attempts += 1;
            let since = self.first_event + self.events.len() as u64;
            self.in_flight
                .insert(Arc::clone(&queued.pod.key), InFlight { pod: Arc::clone(&queued.pod), since });
            return Some(queued);
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
    pub fn fail(&mut self, mut queued: QueuedPod, rejected_by: Vec<&'static str>, now: Instant) {
        let Some(InFlight { pod, since }) = self.in_flight.remove(&queued.pod.key) else { return };
        if pod.uid != queued.pod.uid {
            queued.attempts = 0;
        }
        queued.pod = pod;
        queued.queued_at = now;
        queued.backoff_until = now + self.config.backoff(queued.attempts);
        queued.rejected_by = rejected_by;
        let missed = since < self.first_event;
        let seen = usize::try_from(since.saturating_sub(self.first_event)).unwrap_or(usize::MAX);
        let woken = missed || self.events.iter().skip(seen).any(|event| self.worth_retrying(&queued, event));
        if queued.rejected_by.is_empty() || woken {
            self.enqueue(queued, now);
        } else {
            self.put(queued, Place::Unschedulable(now));
        }
        self.drop_seen_events();
    }

    /// Puts a pod back whose binding failed, to be tried again after a back-off.
    pub fn retry(&mut self, queued: QueuedPod, now: Instant) {
        if !self.pods.contains_key(&queued.pod.key) && !self.in_flight.contains_key(&queued.pod.key) {
            let backoff_until = now + self.config.backoff(queued.attempts);
            self.enqueue(QueuedPod { queued_at: now, backoff_until, rejected_by: Vec::new(), ..queued }, now);
        }
    }

    /// Wakes the pods that `event` may help.
    pub fn on_event(&mut self, event: &ClusterEvent, now: Instant) {
        // Every pod that is placed is an event, so the pods that events do not concern must not be looked at.
        let unschedulable = self.unschedulable.iter().map(|((_, ticket), key)| (*ticket, key));
        let gated = self.gated.iter().map(|(ticket, key)| (*ticket, key));
        let wakes = |key| self.pods.get(key).is_some_and(|entry| self.worth_retrying(&entry.queued, event));
        let waiting = unschedulable.chain(gated).filter(|(_, key)| wakes(*key));
        let mut woken: Vec<_> = waiting.map(|(ticket, key)| (ticket, Arc::clone(key))).collect();
        // In the order in which they came, wherever they waited.
        woken.sort_unstable();
        for (_, key) in woken {
            if let Some(entry) = self.take(&key) {
                self.enqueue(entry.queued, now);
            }
        }
        if !self.in_flight.is_empty() {
            self.remember(event.clone());
        }
    }

    /// Ends back-offs that are over and retries pods that have been unschedulable for too long.
    pub fn flush(&mut self, now: Instant) {
        while let Some(entry) = self.backoff.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = Arc::clone(entry.get());
            self.requeue(&key, now);
        }
        while let Some(entry) = self
            .unschedulable
            .first_entry()
            .filter(|entry| entry.key().0 + self.config.max_unschedulable <= now)
        {
            let key = Arc::clone(entry.get());
            self.requeue(&key, now);
        }
    }

    /// When [`flush`](Self::flush) has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let backoff = self.backoff.first_key_value().map(|((until, _), _)| *until);
        let leftover = self
            .unschedulable
            .first_key_value()
            .map(|((since, _), _)| *since + self.config.max_unschedulable);
        backoff.into_iter().chain(leftover).min()
    }

    /// How many pods are where.
    #[must_use]
    pub fn sizes(&self) -> QueueSizes {
        let (backoff, unschedulable, gated) =
            (self.backoff.len(), self.unschedulable.len(), self.gated.len());
        let active = self.pods.len() - backoff - unschedulable - gated;
        QueueSizes { active, backoff, unschedulable, gated, in_flight: self.in_flight.len() }
    }

    /// Whether a pod could be handed out without waiting.
    #[must_use]
    pub fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    fn requeue(&mut self, key: &str, now: Instant) {
        if let Some(entry) = self.take(key) {
            self.enqueue(entry.queued, now);
        }
    }

    /// Puts a pod where its gates and its back-off want it.
    fn enqueue(&mut self, mut queued: QueuedPod, now: Instant) {
        let gate = self.profile_of(&queued.pod).and_then(|profile| {
            let mut plugins = profile.plugins.iter().map(|enabled| &enabled.plugin);
            plugins
                .find(|plugin| {
                    plugin.as_pre_enqueue().is_some_and(|gate| gate.pre_enqueue(&queued.pod).is_err())
                })
                .map(|plugin| plugin.name())
        });
        let place = match gate {
            Some(plugin) => {
                queued.rejected_by = vec![plugin];
                Place::Gated
            }
            None if queued.backoff_until > now => Place::Backoff(queued.backoff_until),
            None => Place::Active,
        };
        self.put(queued, place);
    }

    fn put(&mut self, queued: QueuedPod, place: Place) {
        let Some(profile) = self.profile_of(&queued.pod).cloned() else { return };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let key = Arc::clone(&queued.pod.key);
        match place {
            Place::Active => self.active.push(Active { queued: queued.clone(), ticket, profile }),
            Place::Backoff(until) => drop(self.backoff.insert((until, ticket), Arc::clone(&key))),
            Place::Unschedulable(since) => drop(self.unschedulable.insert((since, ticket), Arc::clone(&key))),
            Place::Gated => drop(self.gated.insert(ticket, Arc::clone(&key))),
        }
        self.pods.insert(key, Entry { queued, place, ticket });
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.pods.remove(key)?;
        match entry.place {
            Place::Backoff(until) => drop(self.backoff.remove(&(until, entry.ticket))),
            Place::Unschedulable(since) => drop(self.unschedulable.remove(&(since, entry.ticket))),
            Place::Gated => drop(self.gated.remove(&entry.ticket)),
            Place::Active => {}
        }
        Some(entry)
    }

    fn profile_of(&self, pod: &PodInfo) -> Option<&Arc<Profile>> {
        self.profiles.get(pod.scheduler_name())
    }

    /// Whether one of the plugins that refused the pod thinks that `event` may help it.
    fn worth_retrying(&self, queued: &QueuedPod, event: &ClusterEvent) -> bool {
        let Some(profile) = self.profile_of(&queued.pod) else { return false };
        let cares = |name: &&'static str| {
            let hints = profile.plugin(name).and_then(|plugin| plugin.as_queueing_hints());
            hints.is_none_or(|hints| hints.hint(&queued.pod, event) == Hint::Queue)
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
