//! A state that a log decides: somebody else applies to it, and this driver serves its readers and watchers.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Driver, Shared};
use crate::mvcc::State;
use crate::{Config, Error, Result, Revision, TxnRequest};

/// Asks for history before a revision to be forgotten.
pub(crate) type Compactor = Box<dyn Fn(Revision) + Send + Sync>;

/// Whether and by whom a state is replicated.
#[derive(Default)]
pub(super) struct Replicated {
    is: OnceLock<()>,
    compactor: OnceLock<Compactor>,
}

impl Replicated {
    pub(super) fn is(&self) -> bool {
        self.is.get().is_some()
    }

    /// Asks for a compaction, if it is not this driver's.
    pub(super) fn compact(&self, revision: Revision) -> bool {
        if let Some(compactor) = self.compactor.get() {
            compactor(revision);
        }
        self.is()
    }
}

impl Driver {
    /// Serves a state that only [`Driver::with_state`] changes.
    pub(crate) fn start_replicated(state: State, config: Config) -> Self {
        let driver = Self::with_journal(state, config, None);
        driver.shared.replicated.is.get_or_init(|| ());
        driver
    }

    /// Whom to tell that history is due to be forgotten.
    pub(crate) fn compact_by(&self, compactor: Compactor) {
        let _ = self.shared.replicated.compactor.set(compactor);
    }

    /// Lets `change` work on the state and make revisions visible, and tells watchers of them.
    pub(crate) fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let shared = &self.shared;
        let mut state = shared.state.write();
        let before = state.visible();
        let given = change(&mut state);
        shared.count_records(&state);
        let woken = shared.tell(&state, before);
        drop(state);
        woken.into_iter().for_each(std::task::Waker::wake);
        given
    }

    /// Refuses all writes from now on.
    pub(crate) fn fail(&self, error: Error) {
        self.shared.state.write().fail(error);
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.state.read().failure().cloned()
    }

    /// Refuses puts when the store is full.
    pub(crate) fn check_space(&self, request: &TxnRequest) -> Result<()> {
        self.shared.state.read().check_space(request, self.shared.config.quota_bytes)
    }

    /// Refuses new records when the store is full.
    pub(crate) fn check_records(&self, changes: &[(Bytes, Option<Bytes>)]) -> Result<()> {
        self.shared.state.read().check_records(changes, self.shared.config.quota_bytes)
    }
}

impl Shared {
    /// Tells watchers what became visible after `before`.
    fn tell(&self, state: &State, before: Revision) -> Vec<std::task::Waker> {
        if state.visible() <= before {
            return Vec::new();
        }
        self.wake_for_compaction(state);
        if self.idle.swap(false, Ordering::Relaxed) {
            self.upkeep.notify_one();
        }
        let mut hub = self.hub.lock();
        // A snapshot may start after what watchers saw last; they are told so when they look.
        if state.compacted() > before + 1 {
            return hub.rewind(before + 1);
        }
        hub.publish(state, before + 1..=state.visible())
    }
}

impl std::fmt::Debug for Replicated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicated").field("is", &self.is()).finish_non_exhaustive()
    }
}
