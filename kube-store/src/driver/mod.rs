//! Runs the pure state: the lock around it, watchers, time, and making it durable.

mod hub;
mod journal;
mod pace;
#[cfg(feature = "raft")]
mod replicated;
mod upkeep;
mod watcher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::hub::Hub;
use self::journal::{Durable, Journal};
pub(crate) use self::pace::Pace;
use crate::engine::Engine;
use crate::mvcc::{self, Counts, Places, Scan, State};
use crate::{
    AutoCompaction, Config, Error, LeaseRequest, LeaseResponse, RangeRequest, RangeResponse, Result,
    Revision, Store, StoreStatus, TxnRequest, TxnResponse, WatchRequest, WatchStream,
};

/// Keys that a range visits, and revisions that a compaction frees, before others get the lock.
const STEP: usize = 1024;

/// A running store. Dropping it stops its task and thread and ends its watches.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
    _stop: DropGuard,
}

/// What the driver shares with its tasks and watchers.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<State>,
    hub: Mutex<Hub>,
    config: Config,
    /// Who makes changes durable, if anybody does.
    journal: Option<Arc<Journal>>,
    rng: Mutex<fastrand::Rng>,
    counts: Mutex<Counts>,
    /// The state's count of changes of its records, to be read without its lock.
    records_version: AtomicU64,
    /// Wakes the upkeep task.
    upkeep: Arc<Notify>,
    /// Whether the upkeep task waits to hear of a write.
    idle: AtomicBool,
    /// Who ends leases and forgets history, if not the upkeep task.
    #[cfg(feature = "raft")]
    replicated: replicated::Replicated,
}

impl Driver {
    /// Starts a store that keeps nothing. Must be called within a tokio runtime for leases to end and history to be
    /// compacted by itself.
    pub(crate) fn start(state: State, config: Config) -> Self {
        Self::with_journal(state, config, None)
    }

    /// Starts a store whose changes `engine` makes durable.
    pub(crate) fn start_durable(state: State, config: Config, engine: Box<dyn Engine>) -> Result<Self> {
        let journal = Arc::new(Journal::new(engine));
        let mut driver = Self::with_journal(state, config, Some(journal.clone()));
        let committer = journal::start(driver.shared.clone(), journal).map_err(Error::storage)?;
        driver.committer = Some(committer);
        Ok(driver)
    }

    fn with_journal(state: State, config: Config, journal: Option<Arc<Journal>>) -> Self {
        let rng = config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            hub: Mutex::default(),
            config,
            journal,
            rng: Mutex::new(rng),
            counts: Mutex::default(),
            records_version: AtomicU64::new(0),
            upkeep: Arc::default(),
            idle: AtomicBool::new(false),
            #[cfg(feature = "raft")]
            replicated: replicated::Replicated::default(),
        });
        let stop = CancellationToken::new();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(upkeep::run(Arc::downgrade(&shared), shared.upkeep.clone(), stop.clone()));
        }
        Self { shared, committer: None, _stop: stop.drop_guard() }
    }

    /// Makes durable what is noted already.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.shared.write(|_| Ok(())).await
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let (Some(journal), Some(committer)) = (&self.shared.journal, self.committer.take()) {
            journal.stop();
            if committer.join().is_err() {
                tracing::error!("the committing thread panicked");
            }
        }
        self.shared.hub.lock().close();
    }
}

impl Shared {
    /// Changes the state by `change`, and answers when that is durable and visible.
    async fn write<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let (answer, durable) = self.apply(change)?;
        match durable {
            None => {}
            // The thread drops what it does not answer when it ends.
            Some(Durable::Wait(durable)) => durable.await.unwrap_or_else(|_| Err(Error::closed()))?,
            Some(Durable::Commit(turn)) => {
                // Others who have something to write come first, and into the same batch.
                tokio::task::yield_now().await;
                turn.commit(self)?;
            }
        }
        if self.idle.swap(false, Ordering::Relaxed) {
            self.upkeep.notify_one();
        }
        Ok(answer)
    }

    /// Changes the state by `change`; answers with it what to wait for.
    fn apply<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<(T, Option<Durable<'_>>)> {
        let mut state = self.state.write();
        if let Some(failure) = state.failure() {
            return Err(failure.clone());
        }
        let answer = change(&mut state)?;
        self.count_records(&state);
        match &self.journal {
            // Even an answer that changes nothing may show what is not durable yet.
            Some(journal) => Ok((answer, (!state.is_settled()).then(|| journal.enqueue()))),
            None => {
                let head = state.head();
                let woken = self.publish(&mut state, head);
                drop(state);
                woken.into_iter().for_each(std::task::Waker::wake);
                Ok((answer, None))
            }
        }
    }

    fn count_records(&self, state: &State) {
        self.records_version.store(state.records_version(), Ordering::Release);
    }

    /// Makes everything up to `revision` visible; answers the watchers to wake once the lock is free.
    fn publish(&self, state: &mut State, revision: Revision) -> Vec<std::task::Waker> {
        let revisions = state.publish(revision);
        if revisions.is_empty() {
            return Vec::new();
        }
        self.wake_for_compaction(state);
        self.hub.lock().publish(state, revisions)
    }

    fn wake_for_compaction(&self, state: &State) {
        if let AutoCompaction::Revisions(keep) = self.config.auto_compaction
            && upkeep::is_over(state, keep)
        {
            self.upkeep.notify_one();
        }
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.write(|state| state.compact(revision)).await?;
        while !self.write(|state| Ok(state.sweep(STEP))).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Reads in steps, giving up the lock in between. A read of the current revision that compaction overtakes starts again.
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        loop {
            let (mut scan, mut done) = {
                let state = self.state.read();
                let mut scan = Scan::new(&state, request.clone(), state.visible())?;
                scan.recall(&self.counts.lock());
                let done = scan.step(&state, STEP);
                (scan, done)
            };
            while let Ok(false) = done {
                tokio::task::yield_now().await;
                done = scan.step(&self.state.read(), STEP);
            }
            match done {
                Err(Error::Compacted { .. }) if request.revision().is_none() => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    scan.remember(&mut self.counts.lock());
                    return Ok(scan.finish());
                }
            }
        }
    }

    /// Looks in steps, as `range` does.
    async fn places(&self, revision: Revision) -> Result<BTreeMap<Bytes, u32>> {
        let mut places = Places::new(revision);
        while !places.step(&self.state.read(), STEP)? {
            tokio::task::yield_now().await;
        }
        Ok(places.finish())
    }

    async fn grant(&self, id: i64, ttl: Duration) -> Result<LeaseResponse> {
        let answer = self
            .write(|state| {
                let id = if id == 0 { self.choose_lease(state) } else { id };
                state.grant(id, ttl, Instant::now())
            })
            .await?;
        self.upkeep.notify_one();
        Ok(answer)
    }

    fn choose_lease(&self, state: &State) -> i64 {
        let mut rng = self.rng.lock();
        loop {
            let id = rng.i64(1..i64::MAX);
            if state.is_free_lease(id) {
                return id;
            }
        }
    }
}

#[async_trait]
impl Store for Driver {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        mvcc::check_range(&request, &self.shared.config)?;
        self.shared.range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        mvcc::check_txn(&request, &self.shared.config)?;
        if request.is_read_only() {
            return self.shared.state.read().read(request);
        }
        let quota = self.shared.config.quota_bytes;
        self.shared
            .write(|state| state.check_space(&request, quota).and_then(|()| state.apply(request)))
            .await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        mvcc::check_watch(&request, &self.shared.config)?;
        watcher::start(&self.shared, request)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.shared.compact(revision).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        let shared = &self.shared;
        match request {
            LeaseRequest::Grant { id, ttl } => shared.grant(id, ttl).await,
            LeaseRequest::Revoke { id } => shared.write(|state| state.revoke(id)).await,
            // What was noted of it may not come back after a crash; else nothing of a renewal lasts.
            LeaseRequest::KeepAlive { id } if shared.state.read().has_less_left(id) => {
                shared.write(|state| state.keep_alive(id, Instant::now())).await
            }
            LeaseRequest::KeepAlive { id } => shared.state.write().keep_alive(id, Instant::now()),
            LeaseRequest::TimeToLive { id } => shared.state.read().time_to_live(id, Instant::now()),
            LeaseRequest::List => Ok(shared.state.read().lease_ids()),
        }
    }

    async fn records(&self, changes: Vec<(Bytes, Option<Bytes>)>) -> Result<BTreeMap<Bytes, Bytes>> {
        let quota = self.shared.config.quota_bytes;
        if !changes.is_empty() {
            self.shared.write(|state| state.write_records(changes, quota)).await?;
        }
        Ok(self.shared.state.read().records().clone())
    }

    async fn swap_records(
        &self,
        expected: (Bytes, Option<Bytes>),
        changes: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<bool> {
        let quota = self.shared.config.quota_bytes;
        self.shared.write(|state| state.swap_records(&expected, changes, quota)).await
    }

    fn records_version(&self) -> u64 {
        self.shared.records_version.load(Ordering::Acquire)
    }

    async fn places(&self, revision: Revision) -> Result<Option<BTreeMap<Bytes, u32>>> {
        self.shared.places(revision).await.map(Some)
    }

    async fn defragment(&self) -> Result<()> {
        let Some(journal) = &self.shared.journal else { return Ok(()) };
        loop {
            let (journal, shared) = (journal.clone(), self.shared.clone());
            // An engine blocks; in between others commit.
            let part = tokio::task::spawn_blocking(move || journal.shrink(&shared));
            if !part.await.map_err(|_| Error::closed())?? {
                return Ok(());
            }
        }
    }

    async fn status(&self) -> Result<StoreStatus> {
        let state = self.shared.state.read();
        Ok(StoreStatus {
            revision: state.visible(),
            compacted: state.compacted(),
            keys: state.keys(),
            bytes: state.bytes(),
            bytes_on_disk: self.shared.journal.as_ref().map_or(0, |journal| journal.disk_bytes()),
            watchers: self.shared.hub.lock().watchers(),
            leases: state.lease_count(),
            failure: state.failure().cloned(),
        })
    }
}

/// Makes a wrapper of a [`Driver`] a [`Store`].
macro_rules! delegate {
    ($store:ty) => {
        #[async_trait]
        impl Store for $store {
            // The frequent ones are the driver's own futures, not futures around these.
            fn range<'a, 'async_trait>(
                &'a self,
                request: RangeRequest,
            ) -> futures::future::BoxFuture<'async_trait, Result<RangeResponse>>
            where
                'a: 'async_trait,
                Self: 'async_trait,
            {
                self.0.range(request)
            }

            fn txn<'a, 'async_trait>(
                &'a self,
                request: TxnRequest,
            ) -> futures::future::BoxFuture<'async_trait, Result<TxnResponse>>
            where
                'a: 'async_trait,
                Self: 'async_trait,
            {
                self.0.txn(request)
            }

            async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
                self.0.watch(request).await
            }

            async fn compact(&self, revision: Revision) -> Result<()> {
                self.0.compact(revision).await
            }

            async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
                self.0.lease(request).await
            }

            async fn records(
                &self,
                changes: Vec<(bytes::Bytes, Option<bytes::Bytes>)>,
            ) -> Result<std::collections::BTreeMap<bytes::Bytes, bytes::Bytes>> {
                self.0.records(changes).await
            }

            async fn swap_records(
                &self,
                expected: (bytes::Bytes, Option<bytes::Bytes>),
                changes: Vec<(bytes::Bytes, Option<bytes::Bytes>)>,
            ) -> Result<bool> {
                self.0.swap_records(expected, changes).await
            }

            fn records_version(&self) -> u64 {
                self.0.records_version()
            }

            async fn places(
                &self,
                revision: Revision,
            ) -> Result<Option<std::collections::BTreeMap<bytes::Bytes, u32>>> {
                self.0.places(revision).await
            }

            async fn defragment(&self) -> Result<()> {
                self.0.defragment().await
            }

            async fn status(&self) -> Result<StoreStatus> {
                self.0.status().await
            }
        }
    };
}
pub(crate) use delegate;
