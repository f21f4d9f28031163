//! Watches the cluster and keeps a dataplane in step with it.

use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::feed::{Feed, Selection, Sink};
use crate::{Compiler, Config, Dataplane, Error, Result};

/// How the proxy fares.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The rules of everything listed at the start have been applied once.
    pub ready: bool,
    /// Applications that succeeded.
    pub syncs: u64,
    /// Applications that failed, since the last one that succeeded.
    pub failures: u64,
    /// When the last one succeeded.
    pub last_sync: Option<Instant>,
    /// Services that have rules.
    pub services: usize,
    /// Entries added and removed by all applications.
    pub changes: u64,
}

/// Watches services and their endpoints and keeps a dataplane in step with them.
///
/// ```no_run
/// # async fn example(client: kube::Client) -> kube_netproxy::Result<()> {
/// use std::sync::Arc;
/// use kube_netproxy::{Config, Nftables, Proxy};
/// use tokio_util::sync::CancellationToken;
///
/// let config = Config { node_name: "node-1".into(), ..Config::default() };
/// let dataplane = Arc::new(Nftables::new(config.clone())?);
/// Proxy::new(client, dataplane, config).run(CancellationToken::new()).await
/// # }
/// ```
pub struct Proxy {
    client: Client,
    dataplane: Arc<dyn Dataplane>,
    config: Config,
    status: watch::Sender<Status>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("dataplane", &self.dataplane)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy that does nothing until it is run.
    #[must_use]
    pub fn new(client: Client, dataplane: Arc<dyn Dataplane>, config: Config) -> Self {
        Self { client, dataplane, config, status: watch::Sender::default() }
    }

    /// How the proxy fares, from now on; wait for `ready` with [`watch::Receiver::wait_for`].
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Runs until `shutdown`. The rules stay in force afterwards; see [`Dataplane::cleanup`].
    ///
    /// # Errors
    /// Only what trying again cannot heal: [`Error::Invalid`], [`Error::Denied`], [`Error::Unsupported`].
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<()>> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(self.keep_in_step(shutdown))
    }

    async fn keep_in_step(self, shutdown: CancellationToken) -> Result<()> {
        self.config.validate()?;
        let mut feed = Feed::new(&self.client, Selection::ForProxies);
        let mut compiler = Compiler::new(self.config.clone());
        // When the next application is due: at once after a quiet period, else when the least time has passed.
        let (mut dirty, mut due) = (true, Instant::now());
        loop {
            let waiting = dirty && feed.is_complete();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(due), if waiting => {
                    let done = self.sync(&mut compiler).await?;
                    dirty = !done;
                    due = Instant::now() + if done { self.config.min_sync_period } else { self.config.retry_period };
                }
                more = feed.next(&mut compiler) => {
                    if !more {
                        return Err(Error::Stopped);
                    }
                    dirty = true;
                }
            }
        }
    }

    /// Applies the rules as they are now; says whether that worked.
    async fn sync(&self, compiler: &mut Compiler) -> Result<bool> {
        let ruleset = compiler.refresh();
        match self.dataplane.apply(ruleset).await {
            Ok(applied) => {
                let services = ruleset.len();
                self.status.send_modify(|status| {
                    status.ready = true;
                    status.syncs += 1;
                    status.failures = 0;
                    status.last_sync = Some(Instant::now());
                    status.services = services;
                    status.changes += (applied.added + applied.removed) as u64;
                });
                Ok(true)
            }
            Err(error @ (Error::Denied { .. } | Error::Unsupported { .. } | Error::Invalid { .. })) => {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot apply the rules, trying again");
                self.status.send_modify(|status| status.failures += 1);
                Ok(false)
            }
        }
    }
}

impl Sink for Compiler {
    fn set_service(&mut self, service: Service) {
        Self::set_service(self, service);
    }

    fn remove_service(&mut self, name: &str) {
        Self::remove_service(self, name);
    }

    fn retain_services(&mut self, names: &BTreeSet<String>) {
        Self::retain_services(self, names);
    }

    fn set_slice(&mut self, slice: EndpointSlice) {
        Self::set_slice(self, slice);
    }

    fn remove_slice(&mut self, name: &str) {
        Self::remove_slice(self, name);
    }

    fn retain_slices(&mut self, names: &BTreeSet<String>) {
        Self::retain_slices(self, names);
    }
}
