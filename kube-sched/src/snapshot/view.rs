//! One node of a snapshot.

use std::sync::Arc;

use super::{NodeId, Snapshot, TaintSet};
use crate::node::NodeInfo;
use crate::pod::{HostPort, PodInfo};
use crate::resources::{Amounts, amount_of};

/// The number of a label key in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelKey(pub(crate) u32);

/// The number of a label value in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelValue(pub(crate) u32);

/// A node in a snapshot; reads straight from the columns.
#[derive(Debug, Clone, Copy)]
pub struct NodeView<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) id: NodeId,
}

impl<'a> NodeView<'a> {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The parsed object.
    #[must_use]
    pub fn info(&self) -> Option<&'a Arc<NodeInfo>> {
        self.snapshot.infos.get(self.id.index())?.as_ref()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.info().map_or("", |info| &*info.name)
    }

    /// What pods may use of it.
    #[must_use]
    pub fn allocatable(&self) -> Amounts {
        self.snapshot.allocatable.at(self.id.index())
    }

    /// What its pods request; `pods` counts them.
    #[must_use]
    pub fn requested(&self) -> Amounts {
        self.snapshot.requested.at(self.id.index())
    }

    /// What scoring assumes its pods use.
    #[must_use]
    pub fn nonzero_requested(&self) -> Amounts {
        self.snapshot.nonzero.at(self.id.index())
    }

    /// Allocatable and requested amount of a resource beyond the common four.
    #[must_use]
    pub fn extended(&self, name: &str) -> (i64, i64) {
        let allocatable = self.info().map_or(0, |info| amount_of(&info.allocatable.extended, name));
        let requested =
            self.snapshot.extended_requested.get(self.id.index()).map_or(0, |used| amount_of(used, name));
        (allocatable, requested)
    }

    /// Whether it is cordoned.
    #[must_use]
    pub fn unschedulable(&self) -> bool {
        self.snapshot.unschedulable.at(self.id.index())
    }

    /// Its taints, shared with every node that has the same.
    #[must_use]
    pub fn taints(&self) -> Option<&'a TaintSet> {
        self.snapshot.taints.value(self.taint_set())
    }

    /// The number of its set of taints.
    pub(crate) fn taint_set(&self) -> u32 {
        self.snapshot.taint_sets.at(self.id.index())
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: LabelKey) -> Option<LabelValue> {
        let labels = self.snapshot.labels.get(self.id.index())?;
        let found = labels.binary_search_by_key(&key.0, |(key, _)| *key).ok()?;
        labels.get(found).map(|(_, value)| LabelValue(*value))
    }

    /// When it or its pods changed last.
    pub(crate) fn stamp(&self) -> u64 {
        self.snapshot.stamps.at(self.id.index())
    }

    /// The host ports in use.
    #[must_use]
    pub fn ports(&self) -> &'a [HostPort] {
        self.snapshot.ports.get(self.id.index()).map_or(&[], |ports| ports)
    }

    /// The pods placed on it, in the order of their arrival.
    #[must_use]
    pub fn pods(&self) -> &'a [Arc<PodInfo>] {
        self.snapshot.pods.get(self.id.index()).map_or(&[], |pods| pods)
    }
}
