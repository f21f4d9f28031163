//! Writes that must not be lost: the newest one for each pod, tried until it succeeds or is moot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::resource::v1::ResourceClaim;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::pod::PodInfo;
use crate::snapshot::claim_key;

/// How long a write that failed once waits; twice as long after each further failure.
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Something that the API server has to know sooner or later.
#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// The pod is not scheduled, and why.
    Condition { pod: Arc<PodInfo>, reason: &'static str, message: String, nomination: Nomination },
    /// The pod makes room for another one on its node.
    Eviction { victim: Arc<PodInfo>, by: Arc<PodInfo>, node: Arc<str> },
    /// The claim gives its devices back. The key is one that no pod has.
    Deallocation { key: Arc<str>, claim: Arc<ResourceClaim> },
}

/// What becomes of the node that is nominated for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Nomination {
    /// It stays what it is.
    Keep,
    /// There is none any more.
    Clear,
    /// It is this one.
    Node(Arc<str>),
}

impl Nomination {
    /// What to write in the status of a pod for which `now` is nominated; `None` if nothing is to be changed.
    pub(super) fn change(&self, now: Option<&str>) -> Option<Option<&str>> {
        match self {
            Self::Node(node) if now != Some(&**node) => Some(Some(node)),
            Self::Clear if now.is_some() => Some(None),
            _ => None,
        }
    }
}

impl Duty {
    pub(super) fn deallocation(claim: Arc<ResourceClaim>) -> Self {
        Self::Deallocation { key: format!("resourceclaims/{}", claim_key(&claim)).into(), claim }
    }

    /// The key of the pod that is written.
    pub(super) fn key(&self) -> &Arc<str> {
        match self {
            Self::Condition { pod, .. } => &pod.key,
            Self::Eviction { victim, .. } => &victim.key,
            Self::Deallocation { key, .. } => key,
        }
    }

    fn is_condition(&self) -> bool {
        matches!(self, Self::Condition { .. })
    }

    fn is_eviction(&self) -> bool {
        matches!(self, Self::Eviction { .. })
    }
}

/// How an attempt at a duty ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Done,
    /// It may succeed another time.
    Failed,
    /// It never will.
    Refused,
}

/// The duties, shared by the loop that sets them and the reporter that does them. One for each pod at most, so
/// it is bounded by the number of pods.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
    /// Tells those in [`settled`](Outbox::settled) that a write has ended.
    ended: Notify,
    /// Tells of new ones in `State::refused`.
    refused: Notify,
}

impl Outbox {
    /// Adds a duty; it replaces the one for the same pod.
    pub(super) fn put(&self, duty: Duty) {
        self.state.lock().put(duty, 0, Instant::now());
        self.changed.notify_one();
    }

    /// The pod is gone: whatever was to be written about it is moot.
    pub(super) fn withdraw(&self, key: &str) {
        self.state.lock().withdraw(key, |_| true);
        self.changed.notify_one();
    }

    /// The pod has a node: that it has none is not to be written any more.
    pub(super) fn withdraw_condition(&self, key: &str) {
        self.state.lock().withdraw(key, Duty::is_condition);
        self.changed.notify_one();
    }

    /// No more duties will come: [`next`](Self::next) ends when all are done.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    /// Waits for a duty. Its end must be reported to [`finished`](Self::finished). For a single caller.
    pub(super) async fn next(&self) -> Option<Duty> {
        loop {
            let next = self.state.lock().next(Instant::now());
            match next {
                Next::Write(duty) => return Some(duty),
                Next::End => return None,
                Next::Wait => self.changed.notified().await,
                Next::Until(due) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = sleep_until(due) => {}
                    }
                }
            }
        }
    }

    /// How many conditions are still to be written.
    pub(super) fn conditions(&self) -> usize {
        self.state.lock().conditions
    }

    /// Waits until nothing about the pod is being written. A request that is under way may reach the server after a later
    /// one, and a bound pod must not say in the end that it has no node.
    pub(super) async fn settled(&self, key: &str) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if !self.state.lock().writing.contains_key(key) {
                return;
            }
            ended.await;
        }
    }

    /// An attempt at a duty that was handed out has ended.
    pub(super) fn finished(&self, key: &str, attempt: Attempt) {
        let mut state = self.state.lock();
        state.finished(key, attempt, Instant::now());
        if !state.refused.is_empty() {
            self.refused.notify_one();
        }
        drop(state);
        self.changed.notify_one();
        self.ended.notify_waiters();
    }

    /// The pods whose eviction was refused since the last call.
    pub(super) fn take_refused(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.state.lock().refused)
    }

    /// Waits until [`take_refused`](Self::take_refused) has something to tell. For a single caller.
    pub(super) async fn refusal(&self) {
        self.refused.notified().await;
    }
}

/// What the reporter has to do.
#[derive(Debug)]
enum Next {
    Write(Duty),
    Until(Instant),
    Wait,
    End,
}

#[derive(Debug)]
struct Entry {
    duty: Duty,
    failures: u32,
    due: (Instant, u64),
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Arc<str>, Entry>,
    /// The keys of `waiting` by time.
    due: BTreeMap<(Instant, u64), Arc<str>>,
    /// What is being written, and `None` in its place when it is moot already. A pod is written by one request at a
    /// time, so that an old state never overwrites a new one.
    writing: HashMap<Arc<str>, Option<(Duty, u32)>>,
    /// The victims that may stay. The loop takes them out in each of its turns.
    refused: Vec<Arc<str>>,
    /// How many conditions are in `waiting`.
    conditions: usize,
    next_ticket: u64,
    closed: bool,
}

impl State {
    fn put(&mut self, duty: Duty, failures: u32, at: Instant) {
        if let Some(old) = self.waiting.get_mut(duty.key())
            && old.duty.is_eviction()
            && duty.is_eviction()
        {
            // It keeps its turn, or one that is decided on again and again would never have it.
            old.duty = duty;
            return;
        }
        let (key, due) = (Arc::clone(duty.key()), (at, self.next_ticket));
        self.next_ticket += 1;
        self.due.insert(due, Arc::clone(&key));
        self.conditions += usize::from(duty.is_condition());
        if let Some(old) = self.waiting.insert(key, Entry { duty, failures, due }) {
            self.conditions -= usize::from(old.duty.is_condition());
            self.due.remove(&old.due);
        }
    }

    fn withdraw(&mut self, key: &str, moot: impl Fn(&Duty) -> bool) {
        if self.waiting.get(key).is_some_and(|entry| moot(&entry.duty))
            && let Some(entry) = self.waiting.remove(key)
        {
            self.conditions -= usize::from(entry.duty.is_condition());
            self.due.remove(&entry.due);
        }
        if let Some(writing) = self.writing.get_mut(key) {
            writing.take_if(|(duty, _)| moot(duty));
        }
    }

    fn next(&mut self, now: Instant) -> Next {
        let first = self.due.iter().find(|(_, key)| !self.writing.contains_key(*key));
        let Some((due, key)) = first.map(|(due, key)| (*due, Arc::clone(key))) else {
            let ends = self.closed && self.due.is_empty() && self.writing.is_empty();
            return if ends { Next::End } else { Next::Wait };
        };
        if due.0 > now {
            return Next::Until(due.0);
        }
        self.due.remove(&due);
        let Some(Entry { duty, failures, .. }) = self.waiting.remove(&key) else { return Next::Wait };
        self.conditions -= usize::from(duty.is_condition());
        self.writing.insert(key, Some((duty.clone(), failures)));
        Next::Write(duty)
    }

    fn finished(&mut self, key: &str, attempt: Attempt, now: Instant) {
        let Some((duty, failures)) = self.writing.remove(key).flatten() else { return };
        match attempt {
            Attempt::Failed if !self.waiting.contains_key(key) => {
                let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
                let wait = INITIAL_BACKOFF.saturating_mul(factor).min(MAX_BACKOFF);
                self.put(duty, failures.saturating_add(1), now + wait);
            }
            Attempt::Refused if duty.is_eviction() => self.refused.push(Arc::clone(duty.key())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
