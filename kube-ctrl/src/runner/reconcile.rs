//! The one trait every controller implements.

use super::informer::{Change, Informer};
use super::{Informers, Key, Kind, Plan, Queue};
use crate::Result;
use jiff::Timestamp;
use std::future::Future;
use std::sync::Arc;

/// A controller: for a key, observe what there is, plan what to do about it, and report how that went.
///
/// The runner calls the three in this order, for one key never concurrently. `observe` reads caches (and only where
/// no cache can answer, the API); `plan` and `report` are pure. A failed action or observation brings the key back
/// with back-off; a change to a watched object brings it back at once.
pub trait Reconcile: Send + Sync + 'static {
    /// Everything the plan looks at.
    type View: Send + Sync;

    /// Upstream's name of the controller, for example `deployment-controller`. Events carry it as their source.
    fn name(&self) -> &'static str;

    /// How many keys are worked on at once.
    fn workers(&self) -> usize {
        5
    }

    /// Says which changes bring which keys.
    fn wire(&self, wiring: &Wiring);

    /// Gathers what the plan needs; none if there is nothing to do for the key.
    fn observe(&self, key: &Key) -> impl Future<Output = Result<Option<Self::View>>> + Send;

    /// Decides what to do.
    fn plan(&self, view: &Self::View, now: Timestamp) -> Plan;

    /// Decides what to tell about it, once the plan has been carried out.
    fn report(&self, _view: &Self::View, _outcome: &Result<()>, _now: Timestamp) -> Plan {
        Plan::nothing()
    }
}

/// Connects the informers to a controller's queue.
#[derive(Debug)]
pub struct Wiring {
    informers: Arc<Informers>,
    queue: Arc<Queue>,
}

impl Wiring {
    pub(crate) fn new(informers: Arc<Informers>, queue: Arc<Queue>) -> Self {
        Self { informers, queue }
    }

    /// The controller's queue, to add keys from elsewhere.
    pub fn queue(&self) -> Arc<Queue> {
        self.queue.clone()
    }

    /// Every change of a kind brings the keys that `keys` names.
    pub fn watch<K: Kind>(
        &self,
        keys: impl Fn(&Change<K>) -> Vec<Key> + Send + Sync + 'static,
    ) -> Informer<K> {
        let informer = self.informers.get::<K>();
        let queue = self.queue.clone();
        informer.on_change(move |change| keys(change).into_iter().for_each(|key| queue.add(key)));
        informer
    }

    /// Every change of an object brings its own key.
    pub fn primary<K: Kind>(&self) -> Informer<K> {
        self.watch::<K>(|change| change.latest().map(|object| Key::of(object.as_ref())).into_iter().collect())
    }

    /// Brings a key once, at start.
    pub fn once(&self, key: Key) {
        self.queue.add(key);
    }
}
