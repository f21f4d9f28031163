//! All rules of a node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::changes::Journal;
use super::{Change, Changes, Frontend, FrontendKey, Version};

/// What one service contributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceRules {
    /// Its addresses.
    pub frontends: BTreeMap<FrontendKey, Arc<Frontend>>,
    /// Addresses of its endpoints on this node, sorted and without duplicates: they may reach themselves through the service.
    pub local_endpoints: Vec<IpAddr>,
}

/// A service's name and what it would do with an address.
type Claim = (Arc<str>, Arc<Frontend>);

/// All rules of a node, kept up to date service by service.
///
/// When two services claim one address and port, the one whose `namespace/name` sorts first has it, whatever the order in
/// which they came; the other gets it as soon as the first lets go.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    services: BTreeMap<Arc<str>, Arc<ServiceRules>>,
    claims: BTreeMap<FrontendKey, Vec<Claim>>,
    local_endpoints: BTreeMap<IpAddr, usize>,
    journal: Journal,
}

impl PartialEq for Ruleset {
    fn eq(&self, other: &Self) -> bool {
        self.services == other.services
    }
}

impl Ruleset {
    /// Replaces what a service (`namespace/name`) contributes; `None` removes it.
    pub fn set(&mut self, service: &str, rules: Option<ServiceRules>) {
        let name: Arc<str> = Arc::from(service);
        let new = rules.map(Arc::new);
        let old = match &new {
            Some(new) => self.services.insert(name.clone(), new.clone()),
            None => self.services.remove(&name),
        };
        let none = Arc::new(ServiceRules::default());
        let (old, new) = (old.unwrap_or_else(|| none.clone()), new.unwrap_or(none));
        if old == new {
            return;
        }
        for key in old.frontends.keys().filter(|key| !new.frontends.contains_key(key)) {
            self.unclaim(key, &name);
        }
        for (key, frontend) in &new.frontends {
            if old.frontends.get(key) != Some(frontend) {
                self.claim(*key, &name, frontend.clone());
            }
        }
        self.count_endpoints(&old.local_endpoints, &new.local_endpoints);
    }

    fn claim(&mut self, key: FrontendKey, name: &Arc<str>, frontend: Arc<Frontend>) {
        let claims = self.claims.entry(key).or_default();
        match claims.binary_search_by(|(other, _)| other.cmp(name)) {
            Ok(at) => claims[at].1 = frontend,
            Err(at) => claims.insert(at, (name.clone(), frontend)),
        }
        self.journal.push(Change::Frontend(key));
    }

    fn unclaim(&mut self, key: &FrontendKey, name: &Arc<str>) {
        let Some(claims) = self.claims.get_mut(key) else {
            return;
        };
        claims.retain(|(other, _)| other != name);
        if claims.is_empty() {
            self.claims.remove(key);
        }
        self.journal.push(Change::Frontend(*key));
    }

    fn count_endpoints(&mut self, old: &[IpAddr], new: &[IpAddr]) {
        for address in new {
            let count = self.local_endpoints.entry(*address).or_default();
            *count += 1;
            if *count == 1 {
                self.journal.push(Change::LocalEndpoint(*address));
            }
        }
        for address in old {
            let Some(count) = self.local_endpoints.get_mut(address) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.local_endpoints.remove(address);
                self.journal.push(Change::LocalEndpoint(*address));
            }
        }
    }

    /// What a service contributes.
    #[must_use]
    pub fn service(&self, service: &str) -> Option<&ServiceRules> {
        self.services.get(service).map(Arc::as_ref)
    }

    /// The number of services with rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there are no rules at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The frontend in force for an address and port.
    #[must_use]
    pub fn frontend(&self, key: &FrontendKey) -> Option<&Arc<Frontend>> {
        self.claims.get(key)?.first().map(|(_, frontend)| frontend)
    }

    /// All frontends in force, in order of their keys.
    pub fn frontends(&self) -> impl Iterator<Item = (&FrontendKey, &Arc<Frontend>)> {
        self.claims.iter().filter_map(|(key, claims)| Some((key, &claims.first()?.1)))
    }

    /// Whether an endpoint of any service with this address is on this node.
    #[must_use]
    pub fn is_local_endpoint(&self, address: &IpAddr) -> bool {
        self.local_endpoints.contains_key(address)
    }

    /// Addresses of all endpoints on this node, in order.
    pub fn local_endpoints(&self) -> impl Iterator<Item = &IpAddr> {
        self.local_endpoints.keys()
    }

    /// The present state, for a later [`Ruleset::changes_since`].
    #[must_use]
    pub fn version(&self) -> Version {
        self.journal.version()
    }

    /// What may differ between an earlier version and now.
    #[must_use]
    pub fn changes_since(&self, base: Option<Version>) -> Changes {
        self.journal.since(base)
    }
}
