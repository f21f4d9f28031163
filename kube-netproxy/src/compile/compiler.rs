//! Keeps a ruleset up to date, one object at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::compile_service;
use crate::{Config, Ruleset};

/// Label of a slice that names its service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Label of objects that another proxy handles.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// Label of objects of headless services.
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// Compiles everything at once; the order of the objects does not matter.
pub fn compile<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    config: &Config,
) -> Ruleset {
    let mut compiler = Compiler::new(config.clone());
    for slice in slices {
        compiler.set_slice(slice.clone());
    }
    for service in services {
        compiler.set_service(service.clone());
    }
    compiler.refresh();
    compiler.ruleset
}

/// Keeps a ruleset up to date, one object at a time.
///
/// Objects are taken in with `set_*` and `remove_*`, which only mark services as changed; [`Compiler::refresh`] compiles
/// those. So a service with a hundred changed slices is compiled once.
#[derive(Debug)]
pub struct Compiler {
    config: Config,
    services: HashMap<String, Service>,
    slices: HashMap<String, BTreeMap<String, EndpointSlice>>,
    /// Which service a slice belonged to, by the slice's `namespace/name`.
    owners: HashMap<String, String>,
    changed: BTreeSet<String>,
    ruleset: Ruleset,
}

impl Compiler {
    /// A compiler that knows no objects.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            services: HashMap::new(),
            slices: HashMap::new(),
            owners: HashMap::new(),
            changed: BTreeSet::new(),
            ruleset: Ruleset::default(),
        }
    }

    /// Takes in a new or changed service.
    pub fn set_service(&mut self, service: Service) {
        let name = key(&service.metadata);
        if handled(&service.metadata) {
            self.changed.insert(name.clone());
            self.services.insert(name, service);
        } else {
            self.remove_service(&name);
        }
    }

    /// Forgets a service, by `namespace/name`.
    pub fn remove_service(&mut self, name: &str) {
        if self.services.remove(name).is_some() {
            self.changed.insert(name.to_owned());
        }
    }

    /// Takes in a new or changed slice.
    pub fn set_slice(&mut self, slice: EndpointSlice) {
        let name = key(&slice.metadata);
        let owner = owner(&slice.metadata).filter(|_| handled(&slice.metadata));
        if self.owners.get(&name) != owner.as_ref() {
            self.remove_slice(&name);
        }
        if let Some(owner) = owner {
            self.changed.insert(owner.clone());
            self.owners.insert(name.clone(), owner.clone());
            self.slices.entry(owner).or_default().insert(name, slice);
        }
    }

    /// Forgets a slice, by `namespace/name`.
    pub fn remove_slice(&mut self, name: &str) {
        let Some(owner) = self.owners.remove(name) else {
            return;
        };
        if let Some(slices) = self.slices.get_mut(&owner) {
            slices.remove(name);
            if slices.is_empty() {
                self.slices.remove(&owner);
            }
        }
        self.changed.insert(owner);
    }

    /// Forgets every service that is not among `names`.
    pub fn retain_services(&mut self, names: &BTreeSet<String>) {
        let gone: Vec<_> = self.services.keys().filter(|name| !names.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.remove_service(name));
    }

    /// Forgets every slice that is not among `names`.
    pub fn retain_slices(&mut self, names: &BTreeSet<String>) {
        let gone: Vec<_> = self.owners.keys().filter(|name| !names.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.remove_slice(name));
    }

    /// Compiles what changed and gives the rules as they are now.
    pub fn refresh(&mut self) -> &Ruleset {
        for name in std::mem::take(&mut self.changed) {
            let slices: Vec<_> = self.slices.get(&name).into_iter().flat_map(BTreeMap::values).collect();
            let rules =
                self.services.get(&name).and_then(|service| compile_service(service, &slices, &self.config));
            self.ruleset.set(&name, rules);
        }
        &self.ruleset
    }

    /// The rules as of the last [`Compiler::refresh`].
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }
}

/// `namespace/name` of an object.
pub(crate) fn key(metadata: &ObjectMeta) -> String {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    format!("{namespace}/{name}")
}

fn owner(metadata: &ObjectMeta) -> Option<String> {
    let service = metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
    Some(format!("{}/{service}", metadata.namespace.as_deref().unwrap_or_default()))
}

fn handled(metadata: &ObjectMeta) -> bool {
    let has = |label| metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(label));
    !has(PROXY_NAME_LABEL) && !has(HEADLESS_LABEL)
}
