//! Leader election by Lease, compatible with client-go's: of all who ask for a lease, one works.
//!
//! A candidate that sees the lease held waits until it has not changed for a lease duration, measured on its own
//! clock: clocks of different machines are never compared.

mod plan;
#[cfg(test)]
mod tests;

use crate::{Clock, Error, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use plan::{Seen, Step};
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who asks for which lease.
#[derive(Clone, Debug)]
pub struct LeaderConfig {
    /// The namespace of the lease. Default: `kube-system`.
    pub namespace: String,
    /// The name of the lease. Default: `kube-controller-manager`.
    pub name: String,
    /// What tells this candidate from all others; must be unique. Default: empty, which is not valid.
    pub identity: String,
    /// How long others wait after the last renewal they saw. Default: 15 s.
    pub lease_duration: Duration,
    /// How long the leader tries to renew before it gives up. Default: 10 s.
    pub renew_deadline: Duration,
    /// The pause between tries. Default: 2 s.
    pub retry_period: Duration,
    /// The wall clock that times in the lease come from. Default: the machine's.
    pub clock: Clock,
}

impl Default for LeaderConfig {
    fn default() -> Self {
        Self {
            namespace: "kube-system".into(),
            name: "kube-controller-manager".into(),
            identity: String::new(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            clock: Clock::system(),
        }
    }
}

impl LeaderConfig {
    /// Checks that the times leave room for retries.
    ///
    /// # Errors
    /// [`Error::Config`] says what is wrong.
    pub fn validate(&self) -> Result<()> {
        if self.identity.is_empty() {
            return Err(Error::Config("a candidate needs an identity"));
        }
        if self.lease_duration <= self.renew_deadline {
            return Err(Error::Config("the lease duration must be longer than the renew deadline"));
        }
        if self.renew_deadline <= self.retry_period.mul_f64(1.2) {
            return Err(Error::Config("the renew deadline must be longer than 1.2 retry periods"));
        }
        if self.retry_period.is_zero() {
            return Err(Error::Config("the retry period is zero"));
        }
        Ok(())
    }
}

/// How a leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The caller asked for it; the lease was released.
    Shutdown,
    /// The work ended by itself; the lease was released.
    Finished,
    /// The lease could not be renewed in time. Somebody else may lead now: the program should exit or ask again.
    Lost,
}

/// Waits for the lease, then runs `lead` for as long as it is held.
///
/// The token handed to `lead` is cancelled when the lease is lost or `shutdown` is; `lead` must then stop acting at
/// once, and is dropped when it has not ended within a retry period. On the way out, the lease is released so that
/// another can take over without waiting.
///
/// # Errors
/// [`Error::Config`] only; an API server that is away is retried.
pub async fn run<F, W>(
    client: Client,
    config: LeaderConfig,
    shutdown: CancellationToken,
    lead: F,
) -> Result<Ended>
where
    F: FnOnce(CancellationToken) -> W,
    W: Future<Output = ()>,
{
    config.validate()?;
    let mut elector = Elector::new(client, config);
    tokio::select! {
        () = shutdown.cancelled() => return Ok(Ended::Shutdown),
        () = elector.acquire() => {}
    }
    tracing::info!(lease = %elector.config.name, identity = %elector.config.identity, "became leader");
    let token = shutdown.child_token();
    let mut work = std::pin::pin!(lead(token.clone()));
    let (ended, working) = tokio::select! {
        biased;
        () = &mut work => (if shutdown.is_cancelled() { Ended::Shutdown } else { Ended::Finished }, false),
        () = shutdown.cancelled() => (Ended::Shutdown, true),
        () = elector.renew() => (Ended::Lost, true),
    };
    token.cancel();
    if working {
        let _ = tokio::time::timeout(elector.config.retry_period, &mut work).await;
    }
    if ended != Ended::Lost {
        elector.release().await;
    }
    Ok(ended)
}

struct Elector {
    api: Api<Lease>,
    config: LeaderConfig,
    seen: Option<Seen>,
}

impl Elector {
    fn new(client: Client, config: LeaderConfig) -> Self {
        Self { api: Api::namespaced(client, &config.namespace), config, seen: None }
    }

    async fn acquire(&mut self) {
        while !self.attempt().await {
            tokio::time::sleep(self.config.retry_period).await;
        }
    }

    /// Renews until it has failed for the renew deadline.
    async fn renew(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.config.retry_period).await;
            let left = self.config.renew_deadline.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) if renewed.elapsed() < self.config.renew_deadline => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// One try to take or renew the lease; whether it is ours now.
    async fn attempt(&mut self) -> bool {
        match self.try_once().await {
            Ok(held) => held,
            Err(error) => {
                tracing::debug!(lease = %self.config.name, %error, "lease");
                false
            }
        }
    }

    async fn try_once(&mut self) -> kube::Result<bool> {
        let lease = self.api.get_opt(&self.config.name).await?;
        self.seen = plan::observe(self.seen.take(), lease.as_ref(), Instant::now());
        let now = self.config.clock.now();
        let written = match plan::step(&self.config, lease, self.seen.as_ref(), Instant::now(), now) {
            Step::Wait => return Ok(false),
            Step::Create(lease) => self.api.create(&PostParams::default(), &lease).await,
            Step::Replace(lease) => self.api.replace(&lease.name_any(), &PostParams::default(), &lease).await,
        };
        match written {
            Ok(lease) => {
                self.seen = plan::observe(self.seen.take(), Some(&lease), Instant::now());
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn release(&self) {
        let Ok(Some(lease)) = self.api.get_opt(&self.config.name).await else { return };
        if let Some(lease) = plan::released(&self.config, lease, self.config.clock.now()) {
            let _ = self.api.replace(&self.config.name, &PostParams::default(), &lease).await;
        }
    }
}
