//! What happens in the cluster, as queueing hints see it.

use std::sync::Arc;

use crate::node::NodeInfo;
use crate::pod::PodInfo;

/// A change of the cluster that may make waiting pods schedulable.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// A node appeared.
    NodeAdded(Arc<NodeInfo>),
    /// A node changed in a way that decisions can see.
    NodeUpdated {
        /// Before.
        old: Arc<NodeInfo>,
        /// After.
        new: Arc<NodeInfo>,
    },
    /// A node vanished.
    NodeRemoved(Arc<NodeInfo>),
    /// A pod was placed, by us or by others.
    PodPlaced(Arc<PodInfo>),
    /// A placed pod changed, in its metadata, its specification or what it asks for.
    PlacedPodUpdated {
        /// Before.
        old: Arc<PodInfo>,
        /// After.
        new: Arc<PodInfo>,
    },
    /// A placed pod went away or finished.
    PodRemoved(Arc<PodInfo>),
    /// The waiting pod itself changed.
    PodUpdated {
        /// Before.
        old: Arc<PodInfo>,
        /// After.
        new: Arc<PodInfo>,
    },
    /// A storage object appeared, changed or vanished.
    StorageChanged {
        /// The key `namespace/name` of the claim, if it is one.
        claim: Option<Arc<str>>,
    },
    /// A claim for devices appeared or changed.
    ClaimChanged {
        /// Its key `namespace/name`.
        key: Arc<str>,
        /// There was none of this name.
        created: bool,
        /// It gave its devices back.
        deallocated: bool,
        /// Its status is another one.
        status: bool,
    },
    /// A class of devices appeared or changed.
    DeviceClassChanged,
    /// A driver publishes other devices than before.
    DevicesChanged,
    /// A pod appeared, placed or not, that belongs to a group of a workload.
    GangMemberArrived(Arc<PodInfo>),
    /// A workload appeared or changed.
    WorkloadChanged {
        /// Its key `namespace/name`.
        key: Arc<str>,
    },
    /// Something that no plugin may ignore, such as a fresh start of the informers.
    Unknown,
}

/// The arrival of a pod without a node, in upstream's words.
pub(crate) const POD_ADDED: &str = "UnschedulablePodAdd";

/// The kinds of [`ClusterEvent`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A node appeared.
    NodeAdded,
    /// A node changed.
    NodeUpdated,
    /// A node vanished.
    NodeRemoved,
    /// A pod was placed.
    PodPlaced,
    /// A placed pod changed, in its metadata, its specification or what it asks for.
    PlacedPodUpdated,
    /// A placed pod went away.
    PodRemoved,
    /// The waiting pod itself changed.
    PodUpdated,
    /// A storage object changed.
    StorageChanged,
    /// A claim for devices changed.
    ClaimChanged,
    /// A class of devices changed.
    DeviceClassChanged,
    /// The devices changed.
    DevicesChanged,
    /// A pod of a group appeared.
    GangMemberArrived,
    /// A workload changed.
    WorkloadChanged,
    /// Something that no plugin may ignore.
    Unknown,
}

impl EventKind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::NodeAdded,
        Self::NodeUpdated,
        Self::NodeRemoved,
        Self::PodPlaced,
        Self::PlacedPodUpdated,
        Self::PodRemoved,
        Self::PodUpdated,
        Self::StorageChanged,
        Self::ClaimChanged,
        Self::DeviceClassChanged,
        Self::DevicesChanged,
        Self::GangMemberArrived,
        Self::WorkloadChanged,
        Self::Unknown,
    ];
}

impl ClusterEvent {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::NodeAdded(_) => EventKind::NodeAdded,
            Self::NodeUpdated { .. } => EventKind::NodeUpdated,
            Self::NodeRemoved(_) => EventKind::NodeRemoved,
            Self::PodPlaced(_) => EventKind::PodPlaced,
            Self::PlacedPodUpdated { .. } => EventKind::PlacedPodUpdated,
            Self::PodRemoved(_) => EventKind::PodRemoved,
            Self::PodUpdated { .. } => EventKind::PodUpdated,
            Self::StorageChanged { .. } => EventKind::StorageChanged,
            Self::ClaimChanged { .. } => EventKind::ClaimChanged,
            Self::DeviceClassChanged => EventKind::DeviceClassChanged,
            Self::DevicesChanged => EventKind::DevicesChanged,
            Self::GangMemberArrived(_) => EventKind::GangMemberArrived,
            Self::WorkloadChanged { .. } => EventKind::WorkloadChanged,
            Self::Unknown => EventKind::Unknown,
        }
    }

    /// What upstream's metrics call it.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self.kind() {
            EventKind::NodeAdded => "NodeAdd",
            EventKind::NodeUpdated => "NodeUpdate",
            EventKind::NodeRemoved => "NodeDelete",
            EventKind::PodPlaced => "AssignedPodAdd",
            EventKind::PlacedPodUpdated => "AssignedPodUpdate",
            EventKind::PodRemoved => "AssignedPodDelete",
            EventKind::PodUpdated => "UnschedulablePodUpdate",
            EventKind::StorageChanged => "StorageChange",
            EventKind::ClaimChanged => "ResourceClaimUpdate",
            EventKind::DeviceClassChanged => "DeviceClassUpdate",
            EventKind::DevicesChanged => "ResourceSliceUpdate",
            EventKind::GangMemberArrived => POD_ADDED,
            EventKind::WorkloadChanged => "WorkloadAdd",
            EventKind::Unknown => "Unknown",
        }
    }

    /// The node that appeared or changed, as it is now.
    #[must_use]
    pub fn node(&self) -> Option<&Arc<NodeInfo>> {
        match self {
            Self::NodeAdded(node) | Self::NodeUpdated { new: node, .. } => Some(node),
            _ => None,
        }
    }
}
