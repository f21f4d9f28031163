//! The store of a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::command::{Answer, Command};
use super::core::Core;
use super::driver::{Gauges, Input, Task};
use super::{Inbox, MemberChange, MemberInfo, RaftConfig, RaftStatus, Role, Transport, record};
use crate::driver::Driver;
use crate::engine::Engine;
use crate::{
    Error, LeaseRequest, LeaseResponse, Precondition, RangeRequest, RangeResponse, Result, Revision, Store,
    StoreStatus, TxnRequest, TxnResponse, WatchRequest, WatchStream, mvcc,
};

/// Calls that a member works on; more wait.
const CALLS: usize = 4096;
/// Inputs of a member that wait: calls, and as many frames.
const QUEUE: usize = 2 * CALLS;

/// One member of a group that replicates a store. Every member answers everything: writes go to the leader, and reads and
/// watches are answered here once this member holds what was committed when they came. An answered write is on the disks of
/// a majority.
///
/// A write that failed with [`Error::Unavailable`] may have happened. A member whose disk fails, or whose disk holds
/// something damaged, stops and serves nothing.
#[derive(Debug)]
pub struct RaftStore {
    store: Arc<Driver>,
    config: RaftConfig,
    inputs: mpsc::Sender<Input>,
    status: watch::Receiver<RaftStatus>,
    gauges: Arc<Gauges>,
    calls: Semaphore,
    rng: Mutex<fastrand::Rng>,
    task: JoinHandle<()>,
    _stop: DropGuard,
}

impl RaftStore {
    /// Which member of which group `engine` holds, if any: its group's number, then its own. Blocks.
    pub fn identity(engine: &dyn Engine) -> Result<Option<(u64, u64)>> {
        record::identity(engine)
    }

    /// Starts the member that `engine` holds, or a new one. It reaches others through `transport`, and others reach it
    /// through [`RaftStore::inbox`]. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the disk holds something damaged, or another member.
    pub async fn open(
        engine: impl Engine,
        config: RaftConfig,
        transport: Arc<dyn Transport>,
    ) -> Result<Self> {
        config.validate()?;
        let rng = config.store.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        // A seed repeats, and a life of this process must not: its requests are told apart by this number.
        let nonce = fastrand::u64(..);
        let (now, wanted) = (Instant::now(), config.clone());
        let load = move || Core::load(&engine, wanted, nonce, now).map(|(core, state)| (engine, core, state));
        let (engine, core, state) =
            tokio::task::spawn_blocking(load).await.map_err(|_| Error::closed())??;
        let store = Arc::new(Driver::start_replicated(state, config.store.clone()));
        let (inputs, taken) = mpsc::channel(QUEUE);
        let known = core.status();
        transport.members(&known.members);
        let (told, status) = watch::channel(known);
        let (gauges, stop) = (Arc::new(Gauges::of(&engine)), CancellationToken::new());
        let (given, until) = (gauges.clone(), stop.clone());
        let task = Task::new(core, store.clone(), Box::new(engine), transport, taken, told, given, until);
        compact_by_leader(&store, inputs.downgrade(), status.clone());
        let task = tokio::spawn(task.run());
        let (rng, _stop) = (Mutex::new(rng), stop.drop_guard());
        let calls = Semaphore::new(CALLS);
        Ok(Self { store, config, inputs, status, gauges, calls, rng, task, _stop })
    }

    /// Where others reach this member.
    pub fn inbox(&self) -> Inbox {
        Inbox(self.inputs.clone())
    }

    /// Number of the group.
    pub fn cluster(&self) -> u64 {
        self.config.cluster
    }

    /// Number of this member.
    pub fn id(&self) -> u64 {
        self.config.id
    }

    /// Shortest time without a leader after which a member asks for votes.
    pub fn election_timeout(&self) -> std::time::Duration {
        let ticks = u32::try_from(self.config.election_ticks).unwrap_or(u32::MAX);
        self.config.tick.saturating_mul(ticks)
    }

    /// The newest term this member has heard of.
    pub fn term(&self) -> u64 {
        self.status.borrow().term
    }

    /// Who leads, as far as this member knows.
    pub fn leader(&self) -> Option<u64> {
        self.status.borrow().leader
    }

    /// Whether this member follows without a vote, or is not a member yet.
    pub fn is_learner(&self) -> bool {
        self.status.borrow().role == Role::Learner
    }

    /// How this member sees its group, and how that changes.
    pub fn watch_status(&self) -> watch::Receiver<RaftStatus> {
        self.status.clone()
    }

    /// How this member sees its group.
    pub fn raft_status(&self) -> RaftStatus {
        self.status.borrow().clone()
    }

    /// How often this member led and sent its heartbeats late, as when its disk is slow.
    #[cfg(feature = "server")]
    pub(crate) fn late_heartbeats(&self) -> u64 {
        self.gauges.late.load(Ordering::Relaxed)
    }

    /// Waits until this member's view of its group is as wanted, and answers it.
    pub async fn wait_for(&self, wanted: impl FnMut(&RaftStatus) -> bool) -> Result<RaftStatus> {
        let seen = self.status.clone().wait_for(wanted).await.map(|status| status.clone());
        seen.map_err(|_| Error::closed())
    }

    /// Changes who belongs to the group, in one step. Only one change is under way at a time, and a learner gets a vote only
    /// once it has caught up; else this is [`Error::Unavailable`].
    pub async fn change_members(&self, changes: Vec<MemberChange>) -> Result<()> {
        self.propose(Command::Members(changes)).await.map(drop)
    }

    /// Lets member `to` lead, and waits until it does.
    pub async fn transfer_leader(&self, to: u64) -> Result<()> {
        let send = self.inputs.send(Input::Transfer(to));
        send.await.map_err(|_| Error::closed())?;
        let leads = self.wait_for(|status| status.leader == Some(to));
        timeout(self.config.timeout, leads).await.map_err(|_| timed_out())?.map(drop)
    }

    /// The members as of now; [`RaftStore::raft_status`] tells them as this member knows them, which may be behind.
    pub async fn members(&self) -> Result<Vec<MemberInfo>> {
        self.catch_up().await?;
        // The first answer may come before the status is told, the second comes after.
        self.catch_up().await?;
        Ok(self.status.borrow().members.clone())
    }

    /// Reads this member's state as it is, which may be behind the others'.
    pub async fn range_serializable(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.store.range(request).await
    }

    /// Stops this member and waits until its engine is closed.
    pub async fn close(self) {
        let Self { task, _stop, .. } = self;
        drop(_stop);
        if task.await.is_err() {
            tracing::error!("the member's task panicked");
        }
    }

    async fn propose(&self, command: Command) -> Result<Answer> {
        self.ask(|caller| Input::Propose(command, caller)).await
    }

    /// Waits until this member's state holds what was committed before.
    async fn catch_up(&self) -> Result<()> {
        self.ask(Input::Read).await
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<Result<T>>) -> Input) -> Result<T> {
        if let Some(failure) = self.store.failure() {
            return Err(failure);
        }
        let asked = async {
            let _call = self.calls.acquire().await.map_err(|_| Error::closed())?;
            let (caller, answer) = oneshot::channel();
            self.inputs.send(input(caller)).await.map_err(|_| Error::closed())?;
            answer.await.map_err(|_| Error::closed())?
        };
        timeout(self.config.timeout, asked).await.map_err(|_| timed_out())?
    }

    async fn lease_command(&self, command: Command) -> Result<LeaseResponse> {
        match self.propose(command).await? {
            Answer::Lease(response) => Ok(response),
            _ => Err(mixed_up()),
        }
    }

    /// Two members may choose the same identifier at the same time; then the later one chooses again.
    async fn grant(&self, id: i64, ttl: std::time::Duration) -> Result<LeaseResponse> {
        loop {
            let chosen = if id == 0 { self.rng.lock().i64(1..i64::MAX) } else { id };
            match self.lease_command(Command::Grant(chosen, ttl)).await {
                Err(Error::Precondition(Precondition::LeaseExists(_))) if id == 0 => {}
                outcome => return outcome,
            }
        }
    }
}

#[async_trait]
impl Store for RaftStore {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        mvcc::check_range(&request, &self.config.store)?;
        self.catch_up().await?;
        self.store.range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        mvcc::check_txn(&request, &self.config.store)?;
        if request.is_read_only() {
            self.catch_up().await?;
            return self.store.txn(request).await;
        }
        // Before and not after replication, for members count memory at different moments.
        self.store.check_space(&request)?;
        match self.propose(Command::Txn(request)).await? {
            Answer::Txn(response) => Ok(response),
            _ => Err(mixed_up()),
        }
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        mvcc::check_watch(&request, &self.config.store)?;
        // Who says where to begin misses nothing at a member that is behind, and hears from one that has no leader.
        if request.start_revision.is_none_or(|revision| revision < 1) {
            self.catch_up().await?;
        }
        self.store.watch(request).await
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.propose(Command::Compact(revision)).await.map(drop)
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        match request {
            LeaseRequest::Grant { id, ttl } => self.grant(id, ttl).await,
            LeaseRequest::Revoke { id } => self.lease_command(Command::Revoke(id)).await,
            LeaseRequest::KeepAlive { id } => self.lease_command(Command::KeepAlive(id)).await,
            LeaseRequest::TimeToLive { .. } | LeaseRequest::List => {
                self.catch_up().await?;
                self.store.lease(request).await
            }
        }
    }

    async fn records(&self, changes: Vec<(Bytes, Option<Bytes>)>) -> Result<BTreeMap<Bytes, Bytes>> {
        if !changes.is_empty() {
            self.store.check_records(&changes)?;
            self.propose(Command::Records(changes)).await?;
        }
        self.store.records(Vec::new()).await
    }

    async fn swap_records(
        &self,
        expected: (Bytes, Option<Bytes>),
        changes: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<bool> {
        self.store.check_records(&changes)?;
        match self.propose(Command::SwapRecords(expected, changes)).await? {
            Answer::Swapped(is_so) => Ok(is_so),
            _ => Err(mixed_up()),
        }
    }

    fn records_version(&self) -> u64 {
        self.store.records_version()
    }

    async fn places(&self, revision: Revision) -> Result<Option<BTreeMap<Bytes, u32>>> {
        self.store.places(revision).await
    }

    /// Of this member alone.
    async fn defragment(&self) -> Result<()> {
        let (caller, done) = oneshot::channel();
        self.inputs.send(Input::Defragment(caller)).await.map_err(|_| Error::closed())?;
        done.await.map_err(|_| self.store.failure().unwrap_or_else(Error::closed))?
    }

    async fn status(&self) -> Result<StoreStatus> {
        let status = self.store.status().await?;
        Ok(StoreStatus { bytes_on_disk: self.gauges.disk_bytes.load(Ordering::Relaxed), ..status })
    }
}

/// Every member sees that history is due to be forgotten; the one that leads asks for it.
fn compact_by_leader(store: &Driver, inputs: mpsc::WeakSender<Input>, status: watch::Receiver<RaftStatus>) {
    store.compact_by(Box::new(move |revision| {
        let leads = {
            let status = status.borrow();
            status.leader == Some(status.id)
        };
        if leads && let Some(inputs) = inputs.upgrade() {
            let (caller, _) = oneshot::channel();
            let _ = inputs.try_send(Input::Propose(Command::Compact(revision), caller));
        }
    }));
}

fn timed_out() -> Error {
    Error::Unavailable { reason: "request timed out".into() }
}

fn mixed_up() -> Error {
    Error::corrupt("the answer is to another request")
}
