//! The root trait of all plugins.

use std::fmt::Debug;

use super::{
    Bind, Filter, Permit, PostBind, PostFilter, PreBind, PreEnqueue, PreFilter, QueueSort, QueueingHints,
    Reserve, Score,
};

macro_rules! points {
    ($($(#[$doc:meta])* $method:ident: $point:ident),+ $(,)?) => {
        /// A scheduling plugin: a name and the extension points it takes part in.
        ///
        /// Name the extension points that the type implements with [`takes_part!`](crate::takes_part), or override their accessors
        /// with `Some(self)`.
        /// Plugins are shared between threads and called from the scheduling loop, so they must not block.
        pub trait Plugin: Debug + Send + Sync + 'static {
            /// The name under which profiles, decisions and metrics know it.
            fn name(&self) -> &'static str;
            $($(#[$doc])* fn $method(&self) -> Option<&dyn $point> { None })+
        }

        /// How many accessors there are, for those who have to pass all of them on.
        pub(crate) const ACCESSORS: usize = [$(stringify!($method)),+].len();
    };
}

points! {
    /// Its order of the queue.
    as_queue_sort: QueueSort,
    /// Its say in whether a pod may enter the queue.
    as_pre_enqueue: PreEnqueue,
    /// Its judgement of the pod as a whole.
    as_pre_filter: PreFilter,
    /// Its judgement of each node.
    as_filter: Filter,
    /// Its remedy when no node is feasible.
    as_post_filter: PostFilter,
    /// Its ranking of feasible nodes.
    as_score: Score,
    /// Its bookkeeping for a chosen node.
    as_reserve: Reserve,
    /// Its last word before binding.
    as_permit: Permit,
    /// Its preparation of the node.
    as_pre_bind: PreBind,
    /// Its way of binding.
    as_bind: Bind,
    /// Its notification after binding.
    as_post_bind: PostBind,
    /// Its knowledge of which events may help a pod that it refused.
    as_queueing_hints: QueueingHints,
}

/// Within an `impl` of [`Plugin`](crate::framework::Plugin), says in which extension points the type takes part.
#[macro_export]
macro_rules! takes_part {
    (@ $method:ident $point:ident) => {
        fn $method(&self) -> Option<&dyn $crate::framework::$point> {
            Some(self)
        }
    };
    (QueueSort) => { $crate::takes_part!(@ as_queue_sort QueueSort); };
    (PreEnqueue) => { $crate::takes_part!(@ as_pre_enqueue PreEnqueue); };
    (PreFilter) => { $crate::takes_part!(@ as_pre_filter PreFilter); };
    (Filter) => { $crate::takes_part!(@ as_filter Filter); };
    (PostFilter) => { $crate::takes_part!(@ as_post_filter PostFilter); };
    (Score) => { $crate::takes_part!(@ as_score Score); };
    (Reserve) => { $crate::takes_part!(@ as_reserve Reserve); };
    (Permit) => { $crate::takes_part!(@ as_permit Permit); };
    (PreBind) => { $crate::takes_part!(@ as_pre_bind PreBind); };
    (Bind) => { $crate::takes_part!(@ as_bind Bind); };
    (PostBind) => { $crate::takes_part!(@ as_post_bind PostBind); };
    (QueueingHints) => { $crate::takes_part!(@ as_queueing_hints QueueingHints); };
    ($($point:ident),+ $(,)?) => { $($crate::takes_part!($point);)+ };
}
