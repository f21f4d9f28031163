//! The cluster as the scheduler sees it: a structure of arrays over nodes, kept up to date by events.
//!
//! A [`Snapshot`] is a plain value. [`Snapshot::fork`] costs a few reference counts whatever its size: the columns are
//! shared in chunks and a write to a fork copies only the chunk it touches, so that what-if questions
//! (preemption, autoscaling, drains) are asked on a fork that is thrown away afterwards.
//!
//! For affinity and spreading it counts pods by the domains of topologies as they come and go, so that a decision
//! does not look at pods.

mod budgets;
mod column;
mod devices;
mod domains;
mod gangs;
mod interner;
mod map;
mod nodes;
mod pods;
mod selecting;
mod storage;
mod tallies;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::Error;
use crate::node::NodeInfo;
use crate::pod::{HostPort, PodInfo};
use crate::resources::Amounts;
use crate::shared::Shared;
use budgets::Budgets;
pub(crate) use column::Column;
use domains::Topology;
use interner::Interner;
use map::CowMap;
use selecting::Selecting;
use tallies::Tallies;

pub use budgets::Budget;
pub(crate) use devices::{ClaimChange, allocation, claim_key, selects};
pub use devices::{
    Counters, Device, DeviceFacts, DeviceId, DevicePlan, Devices, Fact, Facts, PlannedClaim, Pool, PoolId,
    Reachable, Slice,
};
pub use gangs::{GangKey, Gangs, GateView};
pub use nodes::TaintSet;
pub(crate) use pods::Extent;
pub use selecting::SelectingKind;
pub(crate) use storage::SELECTED_NODE;
pub use storage::{Claim, Storage, Volume, VolumePlan};
pub(crate) use tallies::{Counts, Sums};
pub use view::{LabelKey, LabelValue, NodeView};

/// A node's place in a snapshot; valid until the node is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Amounts of resources beyond the common four, sorted by name.
type ExtendedAmounts = Vec<(Arc<str>, i64)>;

/// The state that decisions are taken on: nodes and the pods placed on them.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Slots of the nodes that exist, in no particular order.
    order: Column<NodeId>,
    /// Where in `order` a slot is.
    position: Column<u32>,
    free: Column<NodeId>,
    by_name: CowMap<Arc<str>, NodeId>,

    /// `None` for a slot that only holds pods whose node is not known (yet, or any more).
    infos: Column<Option<Arc<NodeInfo>>>,
    allocatable: Column<Amounts>,
    requested: Column<Amounts>,
    nonzero: Column<Amounts>,
    unschedulable: Column<bool>,
    taint_sets: Column<u32>,
    labels: Column<Arc<Vec<(u32, u32)>>>,
    extended_requested: Column<Arc<ExtendedAmounts>>,
    ports: Column<Arc<Vec<HostPort>>>,
    pods: Column<Arc<Vec<Arc<PodInfo>>>>,
    /// When each node changed last, in unique numbers.
    stamps: Column<u64>,
    /// When the facts about nodes, as opposed to their pods, changed last.
    facts: u64,

    pods_by_key: CowMap<Arc<str>, Placement>,
    placed: usize,
    assumed: usize,
    /// The pods for which preemption makes room, by node.
    nominated: CowMap<Arc<str>, Arc<Vec<Arc<PodInfo>>>>,
    nominated_nodes: CowMap<Arc<str>, Arc<str>>,
    nominations: usize,
    budgets: Budgets,
    /// When they changed last.
    budgets_stamp: u64,
    label_keys: Interner<Arc<str>>,
    label_values: Interner<Arc<str>>,
    taints: Interner<TaintSet>,
    /// Size in bytes and number of nodes of each image.
    images: CowMap<Arc<str>, (i64, u32)>,
    storage: Arc<Storage>,
    devices: Arc<Devices>,
    gangs: Arc<Gangs>,

    /// The labels of each namespace.
    namespaces: CowMap<Arc<str>, Arc<BTreeMap<String, String>>>,
    /// The services and workloads that select pods.
    selecting: Selecting,
    topologies: Arc<Vec<Topology>>,
    tallies: Tallies,
}

/// A number that no change has had before. Unique in the process, so that forks that went separate ways never share one.
fn fresh_stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Where a pod is and whether the API server has confirmed it.
#[derive(Debug, Clone)]
struct Placement {
    node: NodeId,
    node_name: Arc<str>,
    pod: Arc<PodInfo>,
    assumed: bool,
    /// The tallies that it keeps, with its own weight in them.
    holds: Arc<[(u32, i64)]>,
}

impl fmt::Debug for Snapshot {
    /// How much there is; all of it would be megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut snapshot = f.debug_struct("Snapshot");
        snapshot.field("nodes", &self.node_count()).field("nominations", &self.nominations);
        snapshot.field("storage", &self.storage).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// An empty snapshot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds a snapshot of `nodes` and of those `pods` that are bound and not finished.
    ///
    /// # Errors
    /// [`Error::Quantity`] when an object has a malformed quantity.
    pub fn from_objects<'a>(
        nodes: impl IntoIterator<Item = &'a Node>,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Result<Self, Error> {
        let mut snapshot = Self::new();
        let mut shared = Shared::default();
        for node in nodes {
            snapshot.upsert_node(Arc::new(NodeInfo::parse_among(node, &mut shared.names)?));
        }
        for pod in pods {
            snapshot.upsert_pod(Arc::new(PodInfo::parse_among(pod.clone(), &mut shared.templates)?));
        }
        Ok(snapshot)
    }

    /// A copy that shares everything with this one until either changes; O(1).
    #[must_use]
    pub fn fork(&self) -> Self {
        self.clone()
    }

    /// Number of nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.order.len()
    }

    /// The nodes, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        (0..self.order.len()).map(|position| self.view(self.order.at(position)))
    }

    /// The node called `name`.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeView<'_>> {
        let id = *self.by_name.get(name)?;
        self.infos.get(id.index())?.as_ref()?;
        Some(self.view(id))
    }

    /// The node with the given number.
    #[must_use]
    pub fn view(&self, id: NodeId) -> NodeView<'_> {
        NodeView { snapshot: self, id }
    }

    /// The node at a position of the iteration order.
    pub(crate) fn at_position(&self, position: usize) -> NodeView<'_> {
        self.view(self.order.at(position))
    }

    /// The placed pod with the key `namespace/name`.
    #[must_use]
    pub fn pod(&self, key: &str) -> Option<&Arc<PodInfo>> {
        self.pods_by_key.get(key).map(|placement| &placement.pod)
    }

    /// How many pods are placed, and how many of them are assumed and not confirmed yet.
    pub(crate) fn population(&self) -> (usize, usize) {
        (self.placed, self.assumed)
    }

    /// Whether the pod with this key is assumed and not confirmed yet.
    #[must_use]
    pub fn is_assumed(&self, key: &str) -> bool {
        self.pods_by_key.get(key).is_some_and(|placement| placement.assumed)
    }

    /// The number of a label key, if a node has it.
    #[must_use]
    pub fn label_key(&self, key: &str) -> Option<LabelKey> {
        self.label_keys.find(key).map(LabelKey)
    }

    /// The number of a label value, if a node has it.
    #[must_use]
    pub fn label_value(&self, value: &str) -> Option<LabelValue> {
        self.label_values.find(value).map(LabelValue)
    }

    /// Size in bytes of an image and the number of nodes that have it.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<(i64, u32)> {
        self.images.get(name).copied()
    }

    /// When the facts about nodes changed last.
    pub(crate) fn facts_stamp(&self) -> u64 {
        self.facts
    }

    /// When the disruption budgets changed last.
    pub(crate) fn budgets_stamp(&self) -> u64 {
        self.budgets_stamp
    }

    /// All numbers of nodes are below this.
    pub(crate) fn slot_bound(&self) -> usize {
        self.infos.len()
    }

    fn touch(&mut self, node: NodeId) {
        *self.stamps.make_mut(node.index()) = fresh_stamp();
    }

    /// The taints of each set, by its number.
    pub(crate) fn taint_sets(&self) -> impl Iterator<Item = &[k8s_openapi::api::core::v1::Taint]> {
        let number = |id| u32::try_from(id).unwrap_or(u32::MAX);
        (0..self.taints.bound())
            .map(move |id| self.taints.value(number(id)).map_or(&[][..], TaintSet::taints))
    }

    /// All numbers of taint sets are below this.
    pub(crate) fn taint_set_bound(&self) -> usize {
        self.taints.bound()
    }
}
