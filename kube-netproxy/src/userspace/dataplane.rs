//! Listeners that follow a ruleset.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::balancer::Balancer;
use super::{tcp, udp};
use crate::{
    Applied, Change, Changes, Dataplane, Destination, Error, Family, FrontendKey, Protocol, Result, Ruleset,
    Version,
};

/// Bounds of the userspace dataplane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserspaceConfig {
    /// TCP connections at a time over all services; more wait. Each takes two file descriptors and 16 KiB. Default: 4096.
    pub connections: usize,
    /// UDP clients at a time per service port; the one silent for longest makes room. Default: 512.
    pub udp_sessions: usize,
    /// Silence after which a UDP client is forgotten. Default: 60 s.
    pub udp_timeout: Duration,
    /// Time an endpoint has to accept a connection before the next one is tried. Default: 5 s.
    pub connect_timeout: Duration,
}

impl Default for UserspaceConfig {
    fn default() -> Self {
        Self {
            connections: 4096,
            udp_sessions: 512,
            udp_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// A dataplane of listeners on the loopback interface. Dropping it closes them.
///
/// SCTP is left out: there is no socket type for it here.
#[derive(Debug)]
pub struct Userspace {
    config: UserspaceConfig,
    slots: Arc<Semaphore>,
    state: tokio::sync::Mutex<Option<Version>>,
    listeners: Mutex<BTreeMap<FrontendKey, Listener>>,
}

#[derive(Debug)]
struct Listener {
    service: Arc<str>,
    address: SocketAddr,
    balancer: Arc<Mutex<Balancer>>,
    _end: DropGuard,
}

impl Userspace {
    /// A dataplane without listeners. Applying rules needs a tokio runtime.
    #[must_use]
    pub fn new(config: UserspaceConfig) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(config.connections.clamp(1, Semaphore::MAX_PERMITS))),
            config,
            state: tokio::sync::Mutex::new(None),
            listeners: Mutex::default(),
        }
    }

    /// Where the service `namespace/name` is served, by its port, preferring the stand-in for its cluster IP.
    #[must_use]
    pub fn address_of(&self, service: &str, port: u16) -> Option<SocketAddr> {
        let listeners = self.listeners.lock();
        let matches = |key: &FrontendKey, listener: &Listener| {
            key.port == port && listener.service.rsplit_once(':').is_some_and(|(name, _)| name == service)
        };
        listeners.iter().find(|(key, listener)| matches(key, listener)).map(|(_, listener)| listener.address)
    }

    /// Where a frontend is served.
    #[must_use]
    pub fn address(&self, key: &FrontendKey) -> Option<SocketAddr> {
        self.listeners.lock().get(key).map(|listener| listener.address)
    }

    async fn change(&self, key: FrontendKey, ruleset: &Ruleset, applied: &mut Applied) -> Result<()> {
        let Some(frontend) = ruleset.frontend(&key) else {
            applied.removed += usize::from(self.listeners.lock().remove(&key).is_some());
            return Ok(());
        };
        if let Some(listener) = self.listeners.lock().get_mut(&key) {
            listener.service = frontend.service.clone();
            listener.balancer.lock().update(frontend.clone());
            applied.added += 1;
            return Ok(());
        }
        let balancer = Arc::new(Mutex::new(Balancer::new(frontend.clone())));
        let end = CancellationToken::new();
        let address = match key.protocol {
            Protocol::Tcp => {
                let listener = bind(&key, TcpListener::bind).await?;
                let address = listener.local_addr();
                let serve = tcp::serve(
                    listener,
                    balancer.clone(),
                    self.slots.clone(),
                    self.config.clone(),
                    end.clone(),
                );
                tokio::spawn(serve);
                address
            }
            Protocol::Udp => {
                let socket = bind(&key, UdpSocket::bind).await?;
                let address = socket.local_addr();
                tokio::spawn(udp::serve(socket, balancer.clone(), self.config.clone(), end.clone()));
                address
            }
            Protocol::Sctp => return Ok(()),
        };
        let address = address.map_err(Error::io("name a listener"))?;
        let listener =
            Listener { service: frontend.service.clone(), address, balancer, _end: end.drop_guard() };
        self.listeners.lock().insert(key, listener);
        applied.added += 1;
        Ok(())
    }
}

/// Binds the wanted address where that is possible without privileges, else any port.
async fn bind<T, F: Future<Output = std::io::Result<T>>>(
    key: &FrontendKey,
    open: impl Fn(SocketAddr) -> F,
) -> Result<T> {
    let loopback: IpAddr = match key.destination.family() {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    };
    let wanted = match key.destination {
        Destination::NodePort(_) => Some(loopback),
        Destination::Address(address) => Some(address).filter(IpAddr::is_loopback),
    };
    if let Some(address) = wanted {
        match open((address, key.port).into()).await {
            Ok(bound) => return Ok(bound),
            Err(error) => {
                tracing::debug!(%address, port = key.port, %error, "port not to be had, taking another")
            }
        }
    }
    open((loopback, 0).into()).await.map_err(Error::io("listen on the loopback interface"))
}

#[async_trait]
impl Dataplane for Userspace {
    /// Not atomic over several services: each listener changes on its own.
    async fn apply(&self, ruleset: &Ruleset) -> Result<Applied> {
        let mut state = self.state.lock().await;
        let mut applied = Applied { rebuilt: state.is_none(), ..Applied::default() };
        let keys: Vec<FrontendKey> = match ruleset.changes_since(state.take()) {
            Changes::These(these) => these.into_iter().filter_map(frontend_of).collect(),
            Changes::All => {
                let mut keys: Vec<_> = self.listeners.lock().keys().copied().collect();
                keys.extend(ruleset.frontends().map(|(key, _)| *key));
                keys.sort_unstable();
                keys.dedup();
                keys
            }
        };
        for key in keys {
            self.change(key, ruleset, &mut applied).await?;
        }
        *state = Some(ruleset.version());
        Ok(applied)
    }

    async fn cleanup(&self) -> Result<()> {
        *self.state.lock().await = None;
        self.listeners.lock().clear();
        Ok(())
    }
}

fn frontend_of(change: Change) -> Option<FrontendKey> {
    match change {
        Change::Frontend(key) => Some(key),
        Change::LocalEndpoint(_) => None,
    }
}
