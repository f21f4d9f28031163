//! A deduplicating queue of keys with delays and exponential back-off per key.

use super::Key;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The first retry comes after this time, each further one after twice the previous.
const BASE_DELAY: Duration = Duration::from_millis(5);
/// No retry waits longer.
const MAX_DELAY: Duration = Duration::from_secs(1000);

/// A queue in which a key is at most once, and is handed to one worker at a time: a key added while it is
/// being worked on comes again when the worker is done.
///
/// The number of keys waiting is bounded. A key that finds the queue full is dropped and [`Queue::overflowed`]
/// turns true, upon which the runner adds every key of the controller's primary kind again.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Key>,
    waiting: HashSet<Key>,
    working: HashSet<Key>,
    delayed: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
    overflowed: bool,
    closed: bool,
}

impl Queue {
    /// An empty queue for at most `capacity` waiting keys.
    pub fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), wake: Notify::new(), capacity }
    }

    /// Adds a key to be worked on as soon as possible.
    pub fn add(&self, key: Key) {
        let mut state = self.state.lock();
        state.push(key, self.capacity);
        drop(state);
        self.wake.notify_one();
    }

    /// Adds a key after a delay. If it is already waiting for a later time, the earlier one wins.
    pub fn add_after(&self, key: Key, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state.lock().delay(key, Instant::now() + delay, self.capacity);
        self.wake.notify_one();
    }

    /// Adds a key after its back-off: 5 ms, doubled with each call since the last [`Queue::forget`], up to 1000 s.
    pub fn add_rate_limited(&self, key: Key) {
        let delay = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            let delay =
                BASE_DELAY.saturating_mul(1u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(MAX_DELAY);
            *failures = failures.saturating_add(1);
            delay
        };
        self.add_after(key, delay);
    }

    /// Resets the back-off of a key.
    pub fn forget(&self, key: &Key) {
        self.state.lock().failures.remove(key);
    }

    /// The next key; `None` once the queue is closed. Cancel safe.
    pub async fn next(&self) -> Option<Key> {
        loop {
            let wait = {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                state.promote(Instant::now(), self.capacity);
                if let Some(key) = state.pop() {
                    if !state.ready.is_empty() {
                        self.wake.notify_one();
                    }
                    return Some(key);
                }
                state.delayed.first().map(|(at, _)| *at)
            };
            match wait {
                None => self.wake.notified().await,
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.wake.notified()).await;
                }
            }
        }
    }

    /// Says that the work on a key is finished.
    pub fn done(&self, key: &Key) {
        let mut state = self.state.lock();
        state.working.remove(key);
        if state.waiting.contains(key) {
            state.ready.push_back(key.clone());
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Ends every pending and future [`Queue::next`].
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// Whether keys were dropped since the last call.
    pub fn overflowed(&self) -> bool {
        std::mem::take(&mut self.state.lock().overflowed)
    }

    /// The number of keys waiting to be worked on, without those delayed.
    pub fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn push(&mut self, key: Key, capacity: usize) {
        if self.waiting.contains(&key) {
            return;
        }
        if self.waiting.len() >= capacity {
            self.overflowed = true;
            return;
        }
        self.waiting.insert(key.clone());
        if !self.working.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn pop(&mut self) -> Option<Key> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }

    fn delay(&mut self, key: Key, at: Instant, capacity: usize) {
        match self.due.get(&key) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => {
                self.delayed.remove(&(*later, key.clone()));
            }
            None if self.delayed.len() >= capacity => {
                self.overflowed = true;
                return;
            }
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.delayed.insert((at, key));
    }

    fn promote(&mut self, now: Instant, capacity: usize) {
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.delayed.pop_first() else { return };
            self.due.remove(&key);
            self.push(key, capacity);
        }
    }
}
