//! What time does to a store: leases end, history is forgotten, watchers hear that nothing happened. Sleeps without any timer
//! while none of that can happen, so that tests with paused time see only what they wait for.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::mvcc::State;
use crate::{AutoCompaction, Revision};

/// Runs until the store is gone or `stop` says so.
pub(super) async fn run(shared: Weak<Shared>, wake: Arc<Notify>, stop: CancellationToken) {
    let mut upkeep = Upkeep::default();
    loop {
        let next = match shared.upgrade() {
            Some(shared) => upkeep.tick(&shared, Instant::now()).await,
            None => return,
        };
        let timer = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = wake.notified() => {}
            () = timer => {}
        }
    }
}

/// Whether more than `keep` revisions and a tenth are kept.
pub(super) fn is_over(state: &State, keep: u64) -> bool {
    let kept = u64::try_from(state.visible() - state.compacted()).unwrap_or(0);
    kept > keep.saturating_add(keep / 10).saturating_add(1)
}

/// Leases of which it is noted at once what is left.
const CHECKPOINT_AT_ONCE: usize = 1000;

#[derive(Default)]
struct Upkeep {
    /// Which revision was the newest when.
    samples: VecDeque<(Instant, Revision)>,
    next_sample: Option<Instant>,
    next_progress: Option<Instant>,
    next_checkpoint: Option<Instant>,
}

impl Upkeep {
    /// Does what is due; answers when to come back at the latest.
    async fn tick(&mut self, shared: &Shared, now: Instant) -> Option<Instant> {
        let lease = expire(shared, now).await;
        let compaction = match shared.config.auto_compaction {
            AutoCompaction::Off => None,
            AutoCompaction::Revisions(keep) => {
                compact_to(shared, keep).await;
                None
            }
            AutoCompaction::Age(age) => self.compact_older(shared, age, now).await,
        };
        let progress = self.report_progress(shared, now);
        let checkpoint = self.note_leases(shared, now).await;
        [lease, compaction, progress, checkpoint].into_iter().flatten().min()
    }

    async fn compact_older(&mut self, shared: &Shared, age: Duration, now: Instant) -> Option<Instant> {
        let period = age / 10;
        if self.next_sample.is_none_or(|at| at <= now) {
            // Set before looking, so that a write after the look is heard of.
            shared.idle.store(true, Ordering::Relaxed);
            let (newest, compacted) = {
                let state = shared.state.read();
                (state.visible(), state.compacted())
            };
            let sampled = self.samples.back().map_or(compacted.max(State::EMPTY), |(_, revision)| *revision);
            if newest > sampled {
                self.samples.push_back((now, newest));
            }
            let mut target = None;
            while let Some((at, revision)) = self.samples.front().copied()
                && at + age <= now
            {
                self.samples.pop_front();
                target = Some(revision);
            }
            if let Some(revision) = target {
                compact(shared, revision).await;
            }
            self.next_sample = self.samples.front().map(|_| now + period);
        }
        if self.next_sample.is_some() {
            shared.idle.store(false, Ordering::Relaxed);
        }
        self.next_sample
    }

    /// Notes what is left of long leases, if there are any.
    async fn note_leases(&mut self, shared: &Shared, now: Instant) -> Option<Instant> {
        let interval = shared.config.lease_checkpoints?;
        #[cfg(feature = "raft")]
        if shared.replicated.is() {
            return None;
        }
        if self.next_checkpoint.is_none_or(|at| at <= now) {
            let is_due = self.next_checkpoint.is_some();
            let all: Vec<_> = match is_due {
                true => shared.state.read().long_leases(interval, now).collect(),
                false => Vec::new(),
            };
            for part in all.chunks(CHECKPOINT_AT_ONCE) {
                let noted = shared.write(|state| {
                    state.note_left(part, now);
                    Ok(())
                });
                if let Err(error) = noted.await {
                    tracing::warn!(%error, "what is left of leases was not noted");
                }
            }
            let any = shared.state.read().lease_count() > 0;
            self.next_checkpoint = any.then(|| now + interval);
        }
        self.next_checkpoint
    }

    fn report_progress(&mut self, shared: &Shared, now: Instant) -> Option<Instant> {
        let mut hub = shared.hub.lock();
        let wakers = match self.next_progress {
            Some(at) if at <= now => hub.ask_all_progress(),
            Some(at) if hub.wants_progress() => return Some(at),
            _ if hub.wants_progress() => Some(Vec::new()),
            _ => None,
        };
        drop(hub);
        self.next_progress = wakers.is_some().then(|| now + shared.config.progress_interval);
        wakers.into_iter().flatten().for_each(std::task::Waker::wake);
        self.next_progress
    }
}

async fn compact_to(shared: &Shared, keep: u64) {
    let target = {
        let state = shared.state.read();
        if !is_over(&state, keep) {
            return;
        }
        state.visible() - i64::try_from(keep).unwrap_or(i64::MAX)
    };
    compact(shared, target).await;
}

async fn compact(shared: &Shared, revision: Revision) {
    #[cfg(feature = "raft")]
    if shared.replicated.compact(revision) {
        return;
    }
    match shared.compact(revision).await {
        Ok(()) => tracing::debug!(revision, "compacted history"),
        // Somebody compacted further meanwhile, which is as good; a failed store says so to everyone who writes.
        Err(error) => tracing::debug!(revision, %error, "history was not compacted"),
    }
}

/// Ends the leases that are due; answers when the next one is.
async fn expire(shared: &Shared, now: Instant) -> Option<Instant> {
    #[cfg(feature = "raft")]
    if shared.replicated.is() {
        return None;
    }
    loop {
        let (at, id) = shared.state.read().next_lease_end()?;
        if at > now {
            return Some(at);
        }
        // It may have been kept alive since, so it is looked at again under the lock.
        let revoke = |state: &mut State| match state.next_lease_end() {
            Some((at, due)) if at <= now && due == id => state.revoke(id).map(drop),
            _ => Ok(()),
        };
        if let Err(error) = shared.write(revoke).await {
            tracing::warn!(lease = id, %error, "an expired lease could not be ended");
            return None;
        }
    }
}
