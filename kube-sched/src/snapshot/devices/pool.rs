//! Pools of devices, as drivers publish them in slices.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::api::resource::v1::{
    CounterSet, Device as DeviceObject, DeviceCounterConsumption, DeviceTaint, ResourceSlice,
};

use super::facts::DeviceFacts;
use crate::node::NodeInfo;
use crate::resources::nano_value;
use crate::selector::term_matches;

/// A pool's name, which is the driver's own business.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId {
    /// The driver.
    pub driver: Arc<str>,
    /// The pool's name.
    pub name: Arc<str>,
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.driver, self.name)
    }
}

/// From which nodes devices can be reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Reachable {
    /// From this one.
    Node(Arc<str>),
    /// From those that match.
    Selector(Arc<NodeSelector>),
    /// From all.
    Everywhere,
    /// Each device says it for itself.
    PerDevice,
    /// In a way that is not known; from none.
    Unknown,
}

impl Reachable {
    fn new(node: Option<&String>, all: Option<bool>, selector: Option<&NodeSelector>) -> Self {
        match (node.filter(|name| !name.is_empty()), all, selector) {
            (Some(name), ..) => Self::Node(name.as_str().into()),
            (_, Some(true), _) => Self::Everywhere,
            (.., Some(selector)) => Self::Selector(Arc::new(selector.clone())),
            _ => Self::Unknown,
        }
    }

    /// Whether `node` is one of them.
    #[must_use]
    pub fn from_node(&self, node: &NodeInfo) -> bool {
        match self {
            Self::Node(name) => *name == node.name,
            Self::Selector(selector) => selects(selector, node),
            Self::Everywhere => true,
            Self::PerDevice | Self::Unknown => false,
        }
    }
}

/// Whether a node selector selects a node.
pub(crate) fn selects(selector: &NodeSelector, node: &NodeInfo) -> bool {
    selector.node_selector_terms.iter().any(|term| term_matches(term, &node.name, &node.labels))
}

/// Counters by the names of their set and their own, in thousand-millionths.
pub type Counters = BTreeMap<(Arc<str>, Arc<str>), i128>;

/// A device in parsed form.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name, unique in its pool.
    pub name: Arc<str>,
    /// What selectors see of it.
    pub facts: DeviceFacts,
    /// From where it can be reached, if its slice leaves that to it.
    pub reachable: Reachable,
    /// Its taints.
    pub taints: Vec<DeviceTaint>,
    /// What using it takes from its pool's counters.
    pub consumes: Counters,
    /// Whether it has to be made ready after its allocation.
    pub has_binding_conditions: bool,
}

impl Device {
    fn parse(driver: &Arc<str>, device: &DeviceObject) -> Self {
        let consumes = |consumption: &DeviceCounterConsumption| {
            let set: Arc<str> = consumption.counter_set.as_str().into();
            let counters = consumption.counters.iter();
            counters
                .map(|(name, c)| ((Arc::clone(&set), name.as_str().into()), amount(&c.value.0)))
                .collect::<Vec<_>>()
        };
        Self {
            name: device.name.as_str().into(),
            facts: DeviceFacts::parse(driver, device),
            reachable: Reachable::new(
                device.node_name.as_ref(),
                device.all_nodes,
                device.node_selector.as_ref(),
            ),
            taints: device.taints.clone().unwrap_or_default(),
            consumes: device.consumes_counters.iter().flatten().flat_map(consumes).collect(),
            has_binding_conditions: device.binding_conditions.as_ref().is_some_and(|all| !all.is_empty()),
        }
    }
}

/// A malformed amount counts as none; the server lets none pass.
fn amount(text: &str) -> i128 {
    nano_value(text).unwrap_or_default()
}

/// A slice of a pool in parsed form.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Its name.
    pub name: Arc<str>,
    /// The pool it is part of.
    pub pool: PoolId,
    /// The pool's generation that it belongs to.
    pub generation: i64,
    /// How many slices that generation has.
    pub count: i64,
    /// From where its devices can be reached.
    pub reachable: Reachable,
    /// Its devices.
    pub devices: Vec<Device>,
    /// The counters that it adds to its pool.
    pub counters: Counters,
}

impl Slice {
    /// Parses a slice.
    #[must_use]
    pub fn parse(slice: &ResourceSlice) -> Self {
        let spec = &slice.spec;
        let driver: Arc<str> = spec.driver.as_str().into();
        let reachable = Reachable::new(spec.node_name.as_ref(), spec.all_nodes, spec.node_selector.as_ref());
        let per_device = reachable == Reachable::Unknown && spec.per_device_node_selection == Some(true);
        let counters = |set: &CounterSet| {
            let name: Arc<str> = set.name.as_str().into();
            let counters = set.counters.iter();
            counters
                .map(|(c, value)| ((Arc::clone(&name), c.as_str().into()), amount(&value.value.0)))
                .collect::<Vec<_>>()
        };
        Self {
            name: slice.metadata.name.as_deref().unwrap_or_default().into(),
            pool: PoolId { driver: Arc::clone(&driver), name: spec.pool.name.as_str().into() },
            generation: spec.pool.generation,
            count: spec.pool.resource_slice_count,
            reachable: if per_device { Reachable::PerDevice } else { reachable },
            devices: spec.devices.iter().flatten().map(|device| Device::parse(&driver, device)).collect(),
            counters: spec.shared_counters.iter().flatten().flat_map(counters).collect(),
        }
    }
}

/// A pool: the slices of its newest generation, and older ones that the driver has not removed yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pool {
    slices: BTreeMap<Arc<str>, Arc<Slice>>,
    newest: i64,
    complete: bool,
    fault: Option<String>,
    counters: Counters,
}

impl Pool {
    /// The slices of the newest generation, by name. Only these count.
    pub fn slices(&self) -> impl Iterator<Item = &Arc<Slice>> {
        self.slices.values().filter(|slice| slice.generation == self.newest)
    }

    /// Whether all slices of the newest generation are there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Why nothing may be taken from it, if so.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The counters that its devices share.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn insert(&mut self, slice: Arc<Slice>) {
        self.slices.insert(Arc::clone(&slice.name), slice);
        self.refresh();
    }

    pub(super) fn remove(&mut self, slice: &str) -> Option<Arc<Slice>> {
        let removed = self.slices.remove(slice);
        self.refresh();
        removed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The name of a device that is there twice.
    fn duplicate(&self) -> Option<&Arc<str>> {
        let mut seen = BTreeSet::new();
        let mut names = self.slices().flat_map(|slice| &slice.devices).map(|device| &device.name);
        names.find(|name| !seen.insert(*name))
    }

    fn refresh(&mut self) {
        self.newest = self.slices.values().map(|slice| slice.generation).max().unwrap_or_default();
        let found = i64::try_from(self.slices().count()).unwrap_or(i64::MAX);
        let complete = self.slices().next().is_none_or(|slice| slice.count == found);
        let fault = self.duplicate().map(|name| format!("duplicate device name {name}"));
        let counters = self.slices().flat_map(|slice| slice.counters.clone()).collect();
        (self.complete, self.fault, self.counters) = (complete, fault, counters);
    }
}
