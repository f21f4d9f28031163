//! The extension points by name, and plugins that take part in some of theirs only.

use std::sync::Arc;

use super::document::{PluginSet, PluginSets};
use crate::framework::{
    ACCESSORS, Bind, Filter, Permit, Plugin, PostBind, PostFilter, PreBind, PreEnqueue, PreFilter, QueueSort,
    QueueingHints, Reserve, Score,
};

/// Some extension points, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Points(u16);

impl Points {
    pub(super) fn insert(&mut self, point: Point) {
        self.0 |= 1 << point as u16;
    }

    pub(super) fn contains(self, point: Point) -> bool {
        self.0 & (1 << point as u16) != 0
    }
}

/// A plugin that takes part in some of its extension points only, because a profile says so. What it knows of events
/// stays available: they concern whatever it refuses.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) plugin: Arc<dyn Plugin>,
    pub(super) points: Points,
}

macro_rules! points {
    ($($point:ident $field:ident $name:literal $method:ident),+ $(,)?) => {
        /// An extension point that a profile can set up.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Point { $($point),+ }

        impl Point {
            pub(super) const ALL: &[Self] = &[$(Self::$point),+];

            /// Its field in a document.
            pub(super) fn field(self) -> &'static str {
                match self { $(Self::$point => $name),+ }
            }

            /// What upstream calls plugins of it.
            pub(super) fn kind(self) -> &'static str {
                match self { $(Self::$point => concat!(stringify!($point), "Plugin")),+ }
            }

            pub(super) fn set(self, sets: &PluginSets) -> &PluginSet {
                match self { $(Self::$point => &sets.$field),+ }
            }

            pub(super) fn implemented_by(self, plugin: &dyn Plugin) -> bool {
                match self { $(Self::$point => plugin.$method().is_some()),+ }
            }
        }

        impl Plugin for Selected {
            fn name(&self) -> &'static str {
                self.plugin.name()
            }

            $(fn $method(&self) -> Option<&dyn $point> {
                if self.points.contains(Point::$point) { self.plugin.$method() } else { None }
            })+

            fn as_queueing_hints(&self) -> Option<&dyn QueueingHints> {
                self.plugin.as_queueing_hints()
            }
        }
    };
}

points! {
    PreEnqueue pre_enqueue "preEnqueue" as_pre_enqueue,
    QueueSort queue_sort "queueSort" as_queue_sort,
    PreFilter pre_filter "preFilter" as_pre_filter,
    Filter filter "filter" as_filter,
    PostFilter post_filter "postFilter" as_post_filter,
    Score score "score" as_score,
    Reserve reserve "reserve" as_reserve,
    Permit permit "permit" as_permit,
    PreBind pre_bind "preBind" as_pre_bind,
    Bind bind "bind" as_bind,
    PostBind post_bind "postBind" as_post_bind,
}

// An accessor that is missing above would silently be gone from plugins that a profile sets up at some points only.
const _: () =
    assert!(Point::ALL.len() + 1 == ACCESSORS, "every point has a row, and the hints are always passed on");
