//! One informer per kind, shared by all controllers.

use super::informer::Informer;
use super::reflector::{Extent, Sink, Source, Text, decode, reflect};
use super::{Kind, Target};
use kube::Client;
use kube::api::{ApiResource, PartialObjectMeta};
use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The informers of one process. The first request for a kind makes its informer; [`Informers::start`] makes those
/// not yet running list and watch.
pub struct Informers {
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    typed: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    /// By `(group, kind)`, for answers to actions that name a kind only by its words.
    erased: HashMap<(String, String), Arc<dyn Erased>>,
    /// Informers waiting for [`Informers::start`].
    idle: Vec<(ApiResource, Arc<dyn Sink>)>,
    running: Vec<Arc<dyn Erased>>,
    seed: u64,
}

/// An informer without its type.
trait Erased: Send + Sync {
    fn absorb(&self, object: &Text);
    fn absorb_delete(&self, target: &Target, left: Option<&Text>);
    fn is_synced(&self) -> bool;
    fn resync(&self);
}

impl<K: Kind> Erased for Informer<K> {
    fn absorb(&self, object: &Text) {
        if let Ok(object) = decode(object) {
            Informer::absorb(self, object);
        }
    }

    fn absorb_delete(&self, target: &Target, left: Option<&Text>) {
        match left {
            Some(object) => Erased::absorb(self, object),
            None => self.absorb_deleted(&target.key, &target.uid),
        }
    }

    fn is_synced(&self) -> bool {
        Informer::is_synced(self)
    }

    fn resync(&self) {
        Informer::resync(self);
    }
}

impl fmt::Debug for Informers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informers").field("kinds", &self.state.lock().typed.len()).finish_non_exhaustive()
    }
}

impl Informers {
    /// Informers over a client; `seed` decides the jitter of their retries.
    pub fn new(client: Client, seed: u64) -> Self {
        Self { client, state: Mutex::new(State { seed, ..State::default() }) }
    }

    /// The client they watch with.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The informer of a kind.
    pub fn get<K: Kind>(&self) -> Informer<K> {
        let mut state = self.state.lock();
        let known =
            state.typed.get(&TypeId::of::<K>()).and_then(|informer| informer.downcast_ref::<Informer<K>>());
        if let Some(informer) = known {
            return informer.clone();
        }
        let informer = Informer::<K>::default();
        state.typed.insert(TypeId::of::<K>(), Box::new(informer.clone()));
        let name = (K::group(&()).into_owned(), K::kind(&()).into_owned());
        state.erased.insert(name, Arc::new(informer.clone()));
        state.idle.push((ApiResource::erase::<K>(&()), Arc::new(informer.clone())));
        state.running.push(Arc::new(informer.clone()));
        informer
    }

    /// Watches the metadata of every object of a resource, without sharing: for controllers of all kinds at once.
    pub fn watch_metadata(
        &self,
        resource: &ApiResource,
        informer: &Informer<PartialObjectMeta>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let source = Source::new(self.client(), resource, Extent::Metadata);
        self.reflect(source, Arc::new(informer.clone()), tasks, shutdown);
    }

    /// Starts every informer that does not run yet; its tasks end with `shutdown`.
    pub fn start(&self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let idle = std::mem::take(&mut self.state.lock().idle);
        for (resource, sink) in idle {
            self.reflect(Source::new(self.client(), &resource, Extent::Whole), sink, tracker, shutdown);
        }
    }

    fn reflect(
        &self,
        source: Source,
        sink: Arc<dyn Sink>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let rng = fastrand::Rng::with_seed(self.next_seed());
        tasks.spawn(reflect(source, sink, rng, shutdown.clone()));
    }

    /// Whether every informer has had its first full list.
    pub fn are_synced(&self) -> bool {
        self.state.lock().running.iter().all(|informer| informer.is_synced())
    }

    /// Shows every object to every handler again.
    pub fn resync(&self) {
        let informers = self.state.lock().running.clone();
        informers.iter().for_each(|informer| informer.resync());
    }

    /// Shows the server's answer to a write of ours to the informer of its kind, if there is one.
    pub(crate) fn absorb(&self, target: &Target, object: &Text) {
        if let Some(informer) = self.erased(target) {
            informer.absorb(object);
        }
    }

    /// Shows a deletion of ours to the informer of its kind; `left` is the object if it lingers.
    pub(crate) fn absorb_delete(&self, target: &Target, left: Option<&Text>) {
        if let Some(informer) = self.erased(target) {
            informer.absorb_delete(target, left);
        }
    }

    fn erased(&self, target: &Target) -> Option<Arc<dyn Erased>> {
        let name = (target.resource.group.clone(), target.resource.kind.clone());
        self.state.lock().erased.get(&name).cloned()
    }

    fn next_seed(&self) -> u64 {
        let mut state = self.state.lock();
        state.seed = state.seed.wrapping_add(1);
        state.seed
    }
}
