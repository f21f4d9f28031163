//! Which endpoint a connection goes to: round robin, with memory for session affinity.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Backend, Frontend};

/// Clients remembered at most, per frontend.
const CLIENTS: usize = 16 * 1024;

/// The state of one frontend.
#[derive(Debug)]
pub(super) struct Balancer {
    frontend: Arc<Frontend>,
    next: usize,
    clients: HashMap<IpAddr, (Backend, Instant)>,
}

impl Balancer {
    pub(super) fn new(frontend: Arc<Frontend>) -> Self {
        Self { frontend, next: 0, clients: HashMap::new() }
    }

    pub(super) fn update(&mut self, frontend: Arc<Frontend>) {
        self.frontend = frontend;
    }

    /// Whether connections may still go there.
    pub(super) fn serves(&self, backend: &Backend) -> bool {
        self.frontend.target.backends().binary_search(backend).is_ok()
    }

    /// The number of endpoints.
    pub(super) fn len(&self) -> usize {
        self.frontend.target.backends().len()
    }

    /// Where a new connection goes. A client with affinity that `retry`s leaves the endpoint it had.
    pub(super) fn pick(&mut self, client: IpAddr, now: Instant, retry: bool) -> Option<Backend> {
        let Some(seconds) = self.frontend.affinity else {
            return self.next();
        };
        let lifetime = Duration::from_secs(seconds.into());
        let known = self
            .clients
            .get(&client)
            .filter(|(backend, seen)| !retry && now.duration_since(*seen) < lifetime && self.serves(backend));
        let backend = match known {
            Some((backend, _)) => *backend,
            None => self.next()?,
        };
        if self.clients.len() >= CLIENTS && !self.clients.contains_key(&client) {
            self.clients.retain(|_, (_, seen)| now.duration_since(*seen) < lifetime);
        }
        if self.clients.len() < CLIENTS || self.clients.contains_key(&client) {
            self.clients.insert(client, (backend, now));
        }
        Some(backend)
    }

    fn next(&mut self) -> Option<Backend> {
        let backends = self.frontend.target.backends();
        let at = self.next.checked_rem(backends.len())?;
        self.next = at + 1;
        backends.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Masquerade, Target};

    fn frontend(hosts: &[u8], affinity: Option<u32>) -> Arc<Frontend> {
        let backends = hosts.iter().map(|host| backend(*host)).collect();
        let (service, masquerade) = ("default/web:".into(), Masquerade::Outside);
        Arc::new(Frontend { service, target: Target::Balance(backends), local: None, affinity, masquerade })
    }

    fn backend(host: u8) -> Backend {
        Backend { address: IpAddr::from([10, 0, 0, host]), port: 80 }
    }

    #[tokio::test(start_paused = true)]
    async fn takes_turns() {
        let mut balancer = Balancer::new(frontend(&[1, 2, 3], None));
        let client = IpAddr::from([1, 1, 1, 1]);
        let mut picked: Vec<_> = (0..6).map_while(|_| balancer.pick(client, Instant::now(), false)).collect();
        picked.sort();
        assert_eq!(picked, [1, 1, 2, 2, 3, 3].map(backend));
        balancer.update(frontend(&[], None));
        assert_eq!(balancer.pick(client, Instant::now(), false), None);
    }

    #[tokio::test(start_paused = true)]
    async fn affinity_lasts_until_time_or_endpoint_are_gone() {
        let mut balancer = Balancer::new(frontend(&[1, 2], Some(10)));
        let client = IpAddr::from([1, 1, 1, 1]);
        let pick = |balancer: &mut Balancer, retry| balancer.pick(client, Instant::now(), retry).unwrap();
        let first = pick(&mut balancer, false);
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(9)).await;
            assert_eq!(pick(&mut balancer, false), first, "every connection renews it");
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        let second = pick(&mut balancer, false);
        assert_ne!(second, first, "time is over and it is the other's turn");
        assert_eq!(pick(&mut balancer, true), first, "a dead endpoint is left");
        balancer.update(frontend(&[3], Some(10)));
        assert_eq!(pick(&mut balancer, false), backend(3));
    }
}
