//! The extension points: what a scheduling plugin may do, and how plugins are found and put together.
//!
//! A plugin is one type that implements [`Plugin`] and the traits of the extension points it takes part in; the
//! accessors of [`Plugin`] say which. One line in a [`Registry`] makes it available to profiles.
//!
//! | upstream | here |
//! |---|---|
//! | QueueSort | [`QueueSort`] |
//! | PreEnqueue | [`PreEnqueue`] |
//! | PreFilter | [`PreFilter`]: judges the pod as a whole, may narrow the nodes |
//! | PreFilter's cycle state, Filter | [`Filter`] compiles the pod into a [`NodeFilter`]; no state bag, no look-ups per node |
//! | PreFilter's AddPod, RemovePod | not needed: what-if runs on a [fork](crate::Snapshot::fork) |
//! | PostFilter | [`PostFilter`] |
//! | PreScore, Score, NormalizeScore | [`Score`] compiles the pod into a [`NodeScore`], which scores many nodes at once |
//! | Reserve | [`Reserve`] |
//! | Permit | [`Permit`] |
//! | PreBind, Bind, PostBind | [`PreBind`], [`Bind`], [`PostBind`] (the only asynchronous ones) |
//! | EventsToRegister, QueueingHintFn | [`QueueingHints`] |

mod binding;
mod event;
mod filter;
mod memo;
mod observer;
mod plugin;
mod profile;
mod queueing;
mod registry;
mod score;
mod status;

pub use binding::{Bind, Binding, Permit, PermitDecision, PostBind, PreBind, Reserve};
pub(crate) use event::POD_ADDED;
pub use event::{ClusterEvent, EventKind};
pub use filter::{
    Cycle, Feasible, Filter, NodeFilter, NodeStatus, PostFilter, PostFilterOutcome, PreFilter, Preemption,
    Reach,
};
pub use memo::Memo;
pub(crate) use observer::Watched;
pub use observer::{Observer, Point, Verdict};
pub(crate) use plugin::ACCESSORS;
pub use plugin::Plugin;
pub use profile::{EnabledPlugin, Profile};
pub use queueing::{Hint, PreEnqueue, QueueSort, QueueingHints};
pub use registry::{PluginArgs, Registry};
pub use score::{MAX_NODE_SCORE, NodeScore, Score, normalize};
pub use status::{Code, Reason, Reasons, Status};
