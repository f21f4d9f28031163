//! Extension points of the queue.

use std::cmp::Ordering;

use super::{ClusterEvent, EventKind, Status};
use crate::pod::PodInfo;
use crate::queue::QueuedPod;
use crate::snapshot::GateView;

/// The order of the active queue.
pub trait QueueSort {
    /// Which of two waiting pods is scheduled first (`Less` goes first). Must be a total order.
    fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> Ordering;
}

/// A gate in front of the queue; a gated pod costs nothing until it or the cluster changes.
pub trait PreEnqueue {
    /// Whether the pod may be scheduled at all, as far as the pod itself and `view` tell.
    ///
    /// # Errors
    /// A [`Status`] with the reason when it may not.
    fn pre_enqueue(&self, pod: &PodInfo, view: &GateView) -> Result<(), Status>;
}

/// What an event means for a pod that a plugin refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// It may fit now: try again.
    Queue,
    /// It changes nothing for this pod.
    Skip,
}

/// A plugin's knowledge of which events may make a pod schedulable that it refused.
///
/// A plugin that filters without giving hints has its pods retried after every event.
pub trait QueueingHints {
    /// The kinds of events that may help a pod at all. Pods that it refused are not even looked at when others
    /// happen, so that ten thousand gated pods cost nothing while pods come and go. Default: all kinds.
    fn events(&self) -> &'static [EventKind] {
        EventKind::ALL
    }

    /// Whether `event` may help `pod`. In doubt, [`Hint::Queue`]: a wrong `Skip` delays the pod for minutes.
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint;
}
