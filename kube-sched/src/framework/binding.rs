//! Extension points between the decision and the bound pod.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kube::Client;

use super::Status;
use crate::Error;
use crate::pod::PodInfo;
use crate::snapshot::{DevicePlan, Snapshot, VolumePlan};

/// A decision on its way to the API server.
#[derive(Clone, Debug)]
pub struct Binding<'a> {
    /// The pod.
    pub pod: &'a PodInfo,
    /// The name of the chosen node.
    pub node: &'a str,
    /// What has to happen to the pod's claims before it is bound; absent while plugins reserve.
    pub volumes: Option<&'a VolumePlan>,
    /// What has to happen to its claims for devices; absent while plugins reserve.
    pub devices: Option<&'a DevicePlan>,
}

/// Bookkeeping for a chosen node, inside the scheduling cycle. What concerns later decisions belongs into the snapshot, so
/// that these stay functions of it.
pub trait Reserve {
    /// Notes that the pod will run on the node.
    ///
    /// # Errors
    /// A [`Status`] when that turns out to be impossible; every plugin's `unreserve` is called then.
    fn reserve(&self, snapshot: &mut Snapshot, binding: &Binding<'_>) -> Result<(), Status>;

    /// Takes the note back. Idempotent; also called for plugins whose `reserve` was never called.
    fn unreserve(&self, snapshot: &mut Snapshot, binding: &Binding<'_>);
}

/// A [`Permit`] plugin's yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitDecision {
    /// Go ahead.
    Allow,
    /// Go ahead, together with those pods, by their keys, that wait for this plugin's word.
    AllowTogether(Vec<Arc<str>>),
    /// Hold the pod back on its node until the plugin lets it go through
    /// [`WaitingPods`](crate::WaitingPods::allow); after so long, or 15 minutes, it is refused.
    Wait(Duration),
}

/// The last word before binding; also holds pods back until others are ready (gangs).
pub trait Permit: Send + Sync {
    /// Whether binding may begin; asked once, inside the scheduling cycle, after every `reserve` and before the pod is placed in
    /// the snapshot.
    ///
    /// # Errors
    /// A [`Status`] when the pod is refused.
    fn permit(&self, snapshot: &Snapshot, binding: &Binding<'_>) -> Result<PermitDecision, Status>;
}

/// Preparation of the node, such as attaching volumes.
#[async_trait]
pub trait PreBind: Send + Sync {
    /// Prepares the node for the pod. May be cancelled at any await; must be idempotent.
    ///
    /// # Errors
    /// Any [`Error`] stops the binding; the pod is retried after a back-off.
    async fn pre_bind(&self, client: &Client, binding: &Binding<'_>) -> Result<(), Error>;
}

/// A way of binding.
#[async_trait]
pub trait Bind: Send + Sync {
    /// Binds the pod; `Ok(false)` leaves it to the next plugin. Must be idempotent.
    ///
    /// # Errors
    /// Any [`Error`] stops the binding; the pod is retried after a back-off.
    async fn bind(&self, client: &Client, binding: &Binding<'_>) -> Result<bool, Error>;
}

/// Notification after binding.
pub trait PostBind: Send + Sync {
    /// The pod is bound.
    fn post_bind(&self, binding: &Binding<'_>);
}
