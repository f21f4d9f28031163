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
    /// A placed pod changed.
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
    /// Something that no plugin may ignore, such as a fresh start of the informers.
    Unknown,
}

impl ClusterEvent {
    /// The node that appeared or changed, as it is now.
    #[must_use]
    pub fn node(&self) -> Option<&Arc<NodeInfo>> {
        match self {
            Self::NodeAdded(node) | Self::NodeUpdated { new: node, .. } => Some(node),
            _ => None,
        }
    }
}
