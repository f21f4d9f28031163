//! One metadata cache per resource, searched by uid and by owner.

use crate::discovery::{Discovered, discover};
use crate::runner::{Change, Informer, Informers, Key, Queue};
use crate::{Error, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PartialObjectMeta;
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The finalizer of an object that waits for its dependents to be deleted.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object that waits for its dependents to be let go.
pub(super) const ORPHAN: &str = "orphan";
const BY_UID: &str = "uid";
const BY_OWNER: &str = "owner";
/// A resource that cannot be listed for this long is gone on without.
const PATIENCE: Duration = Duration::from_secs(30);

/// An object and the resource it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) resource: Arc<Discovered>,
    pub(super) object: Arc<PartialObjectMeta>,
}

impl Node {
    pub(super) fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn owners(&self) -> &[OwnerReference] {
        owners(&self.object)
    }

    pub(super) fn has_finalizer(&self, name: &str) -> bool {
        has_finalizer(&self.object, name)
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// Whether it waits for its dependents to be deleted.
    pub(super) fn waits_for_dependents(&self) -> bool {
        self.is_deleting() && self.has_finalizer(FOREGROUND)
    }
}

pub(super) fn owners(object: &PartialObjectMeta) -> &[OwnerReference] {
    object.metadata.owner_references.as_deref().unwrap_or_default()
}

fn has_finalizer(object: &PartialObjectMeta, name: &str) -> bool {
    object.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == name)
}

/// Every object there is.
#[derive(Default)]
pub(super) struct Graph {
    watched: RwLock<Vec<Watched>>,
}

struct Watched {
    resource: Arc<Discovered>,
    informer: Informer<PartialObjectMeta>,
    since: Instant,
    stop: CancellationToken,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("resources", &self.watched.read().len()).finish_non_exhaustive()
    }
}

impl Graph {
    /// The object of a uid.
    pub(super) fn find(&self, uid: &str) -> Option<Node> {
        self.search(BY_UID, uid).into_iter().next()
    }

    /// Every object that names this uid as an owner.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Node> {
        self.search(BY_OWNER, uid)
    }

    fn search(&self, index: &str, word: &str) -> Vec<Node> {
        let watched = self.watched.read();
        let nodes = watched.iter().flat_map(|watched| {
            let found = watched.informer.by_index(index, word).into_iter();
            found.map(|object| Node { resource: watched.resource.clone(), object })
        });
        nodes.collect()
    }

    /// The resource of a kind.
    pub(super) fn resource(&self, api_version: &str, kind: &str) -> Option<Arc<Discovered>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let watched = self.watched.read();
        let same = |watched: &&Watched| {
            watched.resource.resource.kind == kind && watched.resource.resource.group == group
        };
        watched.iter().find(same).map(|watched| watched.resource.clone())
    }

    /// Whether enough is known to decide anything.
    pub(super) fn check_synced(&self) -> Result<()> {
        let watched = self.watched.read();
        let missing = watched.iter().find(|w| !w.informer.is_synced() && w.since.elapsed() < PATIENCE);
        match missing {
            Some(watched) => {
                Err(Error::Pending(format!("{} is not synced", watched.resource.group_resource())))
            }
            None => Ok(()),
        }
    }

    /// Starts watching new resources and stops watching those that are gone.
    pub(super) async fn rediscover(
        &self,
        informers: &Informers,
        queue: &Arc<Queue>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        let found = discover(&informers.client()).await?;
        let complete = found.failures.is_empty();
        let collectable = |resource: &Discovered| {
            resource.supports(&["delete", "list", "watch"]) && resource.resource.plural != "events"
        };
        let wanted: Vec<Discovered> = found.resources.into_iter().filter(collectable).collect();
        let mut watched = self.watched.write();
        // A group that could not be read may still be there.
        watched.retain(|known| {
            let keep = !complete || wanted.contains(&known.resource);
            if !keep {
                known.stop.cancel();
            }
            keep
        });
        for resource in wanted {
            if !watched.iter().any(|known| *known.resource == resource) {
                watched.push(watch(resource, informers, queue, tasks, shutdown));
            }
        }
        Ok(())
    }
}

fn watch(
    resource: Discovered,
    informers: &Informers,
    queue: &Arc<Queue>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Watched {
    let informer = Informer::<PartialObjectMeta>::default();
    informer.index(BY_UID, |object| object.metadata.uid.clone().into_iter().collect());
    informer.index(BY_OWNER, |object| owners(object).iter().map(|owner| owner.uid.clone()).collect());
    let queue = queue.clone();
    informer.on_change(move |change| notice(change, &queue));
    let stop = shutdown.child_token();
    informers.watch_metadata(&resource.resource, &informer, tasks, &stop);
    Watched { resource: Arc::new(resource), informer, since: Instant::now(), stop }
}

/// What a change may have made necessary: a look at the object itself, and at those it waits for or that wait for it.
fn notice(change: &Change<PartialObjectMeta>, queue: &Queue) {
    let look = |uid: &str| queue.add(Key::cluster(uid));
    let uid = |object: &PartialObjectMeta| object.metadata.uid.clone().unwrap_or_default();
    if let Some(new) = &change.new {
        let deleting = new.metadata.deletion_timestamp.is_some();
        let relevant = match deleting {
            true => has_finalizer(new, FOREGROUND) || has_finalizer(new, ORPHAN),
            false => {
                !owners(new).is_empty() && change.old.as_ref().is_none_or(|old| owners(old) != owners(new))
            }
        };
        if relevant {
            look(&uid(new));
        }
        if change.old.as_ref().is_some_and(|old| owners(old) != owners(new)) {
            change.old.iter().flat_map(|old| owners(old)).for_each(|owner| look(&owner.uid));
        }
    }
    if let (Some(old), None) = (&change.old, &change.new) {
        // Its dependents have lost an owner, and its owners may have waited for it.
        look(&format!("{}{}", super::view::DEPENDENTS_OF, uid(old)));
        owners(old).iter().for_each(|owner| look(&owner.uid));
    }
}
