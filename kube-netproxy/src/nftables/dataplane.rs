//! The dataplane over the kernel's packet filter.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::conntrack::{self, Stale};
use super::diff::{Cost, Table, Wanted};
use super::object::SUBSYSTEM;
use crate::netlink::{Batch, Socket};
use crate::{Applied, Change, Changes, Config, Dataplane, Error, Family, Result, Ruleset, Version};

/// The kernel's packet filter, in the network namespace of the thread that made the value.
///
/// Needs `CAP_NET_ADMIN` in that namespace and a kernel of 5.13 or newer with `nf_tables` and its NAT, FIB, REJECT and NUMGEN
/// expressions. Rules stay in force when the value is dropped; [`Dataplane::cleanup`] removes them.
#[derive(Debug)]
pub struct Nftables {
    inner: Arc<Mutex<Inner>>,
    /// Keeps applications in the order in which they were asked for.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    socket: Socket,
    config: Config,
    state: State,
}

/// What the kernel holds, as far as is known.
#[derive(Debug)]
struct State {
    version: Option<Version>,
    /// For IPv4 and IPv6.
    tables: [Table; 2],
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl State {
    fn new(config: &Config) -> Self {
        Self { version: None, tables: FAMILIES.map(|family| Table::new(family, config)) }
    }
}

/// A part of a ruleset, taken out of it so that another thread can work on it.
#[derive(Debug)]
struct Job {
    version: Version,
    changes: Vec<Wanted>,
    /// The changes are the whole ruleset.
    complete: bool,
}

impl Nftables {
    /// Opens the packet filter of the calling thread's network namespace and changes nothing yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the configuration, [`Error::Denied`] and [`Error::Unsupported`] when the kernel does not let us.
    pub fn new(config: Config) -> Result<Self> {
        config.validate()?;
        let inner = Inner { socket: Socket::open()?, state: State::new(&config), config };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), turn: tokio::sync::Mutex::new(()) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut inner.lock())).await;
        done.map_err(|_| Error::Stopped)?
    }
}

#[async_trait]
impl Dataplane for Nftables {
    async fn apply(&self, ruleset: &Ruleset) -> Result<Applied> {
        let _turn = self.turn.lock().await;
        let base = self.inner.lock().state.version;
        let job = Job::new(ruleset, base);
        let complete = job.complete;
        match self.blocking(move |inner| inner.run(job)).await {
            // Somebody else changed our table, say by flushing all tables. Build it anew, at once.
            Err(Error::Refused { message, source }) if !complete => {
                tracing::warn!(message, %source, "the kernel's tables are not as they were left, rebuilding them");
                let job = Job::new(ruleset, None);
                self.blocking(move |inner| inner.run(job)).await
            }
            done => done,
        }
    }

    async fn cleanup(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.blocking(Inner::cleanup).await
    }
}

impl Job {
    fn new(ruleset: &Ruleset, base: Option<Version>) -> Self {
        let version = ruleset.version();
        let (changes, complete) = match ruleset.changes_since(base) {
            Changes::These(these) => {
                (these.into_iter().map(|change| wanted(ruleset, change)).collect(), false)
            }
            Changes::All => {
                let frontends =
                    ruleset.frontends().map(|(key, frontend)| Wanted::Frontend(*key, Some(frontend.clone())));
                let endpoints =
                    ruleset.local_endpoints().map(|address| Wanted::LocalEndpoint(*address, true));
                (frontends.chain(endpoints).collect(), true)
            }
        };
        Self { version, changes, complete }
    }
}

fn wanted(ruleset: &Ruleset, change: Change) -> Wanted {
    match change {
        Change::Frontend(key) => Wanted::Frontend(key, ruleset.frontend(&key).cloned()),
        Change::LocalEndpoint(address) => Wanted::LocalEndpoint(address, ruleset.is_local_endpoint(&address)),
    }
}

impl Inner {
    fn run(&mut self, mut job: Job) -> Result<Applied> {
        let rebuilt = self.state.version.is_none();
        let mut batch = Batch::transaction(SUBSYSTEM);
        let empty = batch.count();
        // Another family's table is touched only when it is needed: a kernel may lack IPv6.
        let (mut cost, mut stale) = (Cost::default(), Stale::default());
        for (family, table) in FAMILIES.into_iter().zip(&mut self.state.tables) {
            let mut changes: Vec<_> =
                job.changes.extract_if(.., |change| change.family() == family).collect();
            if job.complete {
                let surplus = table.surplus(&changes);
                changes.extend(surplus);
            }
            let more = table.change(&changes, &mut batch);
            cost.added += more.added;
            cost.removed += more.removed;
            stale.note(&changes);
        }
        // Until the kernel says yes nothing is known; a panic or an error in between leads to a rebuild.
        let version = job.version;
        self.state.version = None;
        if batch.count() > empty
            && let Err(error) = self.socket.execute(batch)
        {
            self.state = State::new(&self.config);
            return Err(error);
        }
        if rebuilt {
            self.remove_leftovers()?;
        }
        self.state.version = Some(version);
        conntrack::flush(&mut self.socket, &stale);
        Ok(Applied { rebuilt, added: cost.added, removed: cost.removed })
    }

    /// A table that is not needed may still be there from an earlier process.
    fn remove_leftovers(&mut self) -> Result<()> {
        for (at, family) in FAMILIES.into_iter().enumerate() {
            if self.state.tables.get(at).is_some_and(|table| !table.exists()) {
                self.destroy(family)?;
            }
        }
        Ok(())
    }

    fn cleanup(&mut self) -> Result<()> {
        self.state = State::new(&self.config);
        FAMILIES.into_iter().try_for_each(|family| self.destroy(family))
    }

    fn destroy(&mut self, family: Family) -> Result<()> {
        let mut batch = Batch::transaction(SUBSYSTEM);
        Table::destroy(family, &mut batch);
        match self.socket.execute(batch) {
            // Without IPv6 in the kernel there cannot be anything to remove.
            Err(Error::Refused { .. }) if family == Family::V6 => Ok(()),
            done => done,
        }
    }
}
