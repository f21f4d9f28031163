//! Extension points that decide which nodes are feasible.

use std::sync::Arc;

use k8s_openapi::api::resource::v1::ResourceClaim;

use super::{Memo, Reason, Status};
use crate::framework::Profile;
use crate::pod::PodInfo;
use crate::snapshot::{NodeId, NodeView, Snapshot};

/// One scheduling attempt: the pod and the state it is judged on.
#[derive(Debug, Clone, Copy)]
pub struct Cycle<'a> {
    /// The cluster.
    pub snapshot: &'a Snapshot,
    /// The pod to place.
    pub pod: &'a PodInfo,
}

/// The nodes that a [`PreFilter`] leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feasible {
    /// No opinion.
    All,
    /// Only these can be feasible.
    Only(Vec<NodeId>),
}

/// Judges the pod as a whole before any node is looked at.
pub trait PreFilter {
    /// Narrows the nodes or refuses the pod.
    ///
    /// # Errors
    /// A [`Status`] when the pod cannot be placed anywhere.
    fn pre_filter(&self, cycle: &Cycle<'_>) -> Result<Feasible, Status>;
}

/// Judges nodes one by one.
pub trait Filter {
    /// Compiles the pod's demands against the snapshot, once per attempt; `None` when every node meets them and would still do
    /// so if any pods left their nodes.
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>>;
}

/// What a verdict or score depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The pod's kind, the node with its pods, and facts about other nodes that are not their pods. It may be reused for pods that
    /// differ in name only until the node changes.
    Node,
    /// Anything else in the cluster too.
    Cluster,
}

/// A pod's demands in the form that is applied to each node. Called thousands of times per pod: it should not allocate
/// for a yes.
pub trait NodeFilter {
    /// Whether the pod may run on `node`.
    ///
    /// # Errors
    /// A [`Status`] with the reasons when it may not.
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status>;

    /// What the verdict depends on; in doubt, everything.
    fn reach(&self) -> Reach {
        Reach::Cluster
    }
}

/// A node and the status it was refused with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node.
    pub node: NodeId,
    /// The plugin that refused it.
    pub plugin: &'static str,
    /// The kind of refusal and the reasons.
    pub status: Status,
}

/// A way out that a [`PostFilter`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preemption {
    /// The node on which there will be room.
    pub node: NodeId,
    /// Keys of the pods to remove from it, least important last.
    pub victims: Vec<Arc<str>>,
    /// How many of them break a disruption budget.
    pub violations: usize,
}

/// What a [`PostFilter`] did.
#[derive(Debug, Clone, PartialEq)]
pub enum PostFilterOutcome {
    /// The pod becomes schedulable once this has been carried out.
    Resolved(Preemption),
    /// No help; the reasons become part of the pod's message. Room that was made for it elsewhere is given up.
    Unresolved(Vec<Reason>),
    /// The pod may not be helped, or not now; the reasons become part of its message, and room that was made for it stays its own.
    Ineligible(Vec<Reason>),
    /// As `Ineligible`, and devices that are in the way are to be given back.
    Deallocate {
        /// The claim that has them.
        claim: Arc<ResourceClaim>,
        /// What becomes part of the pod's message.
        reasons: Vec<Reason>,
    },
}

/// Looks for a remedy when no node is feasible.
pub trait PostFilter {
    /// `refused` has every node that a filter refused; nodes that a [`PreFilter`] ruled out are absent.
    fn post_filter(&self, cycle: &Cycle<'_>, profile: &Profile, refused: &[NodeStatus]) -> PostFilterOutcome;

    /// As [`post_filter`](Self::post_filter), for a pod that may be like the one before: then `memo` holds what the plugin left
    /// there. The outcome is the same. Default: nothing is kept.
    fn post_filter_again(
        &self,
        cycle: &Cycle<'_>,
        profile: &Profile,
        refused: &[NodeStatus],
        memo: &mut Memo,
    ) -> PostFilterOutcome {
        let _ = memo;
        self.post_filter(cycle, profile, refused)
    }

    /// Every way out that is known, the best first, for those who leave the last word to somebody else. Default: the one that
    /// [`post_filter`](Self::post_filter) finds.
    fn ways_out(&self, cycle: &Cycle<'_>, profile: &Profile, refused: &[NodeStatus]) -> Vec<Preemption> {
        match self.post_filter(cycle, profile, refused) {
            PostFilterOutcome::Resolved(preemption) => vec![preemption],
            PostFilterOutcome::Unresolved(_)
            | PostFilterOutcome::Ineligible(_)
            | PostFilterOutcome::Deallocate { .. } => Vec::new(),
        }
    }
}
