//! Everything that is watched, as one stream.

use std::fmt::Debug;

use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::feeds;
use super::informer::{Change, changes, key};
use crate::framework::ClusterEvent;
use crate::snapshot::{Snapshot, Storage};

/// A watched kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Node,
    Pod,
    Claim,
    Volume,
    Class,
    CsiNode,
    CsiDriver,
    Capacity,
    Namespace,
    Budget,
    Service,
    ReplicationController,
    ReplicaSet,
    StatefulSet,
}

impl Kind {
    pub(super) const ALL: [Self; 14] = [
        Self::Node,
        Self::Pod,
        Self::Claim,
        Self::Volume,
        Self::Class,
        Self::CsiNode,
        Self::CsiDriver,
        Self::Capacity,
        Self::Namespace,
        Self::Budget,
        Self::Service,
        Self::ReplicationController,
        Self::ReplicaSet,
        Self::StatefulSet,
    ];
}

/// A change of a watched kind.
#[derive(Debug)]
pub(super) enum Observed {
    Node(Change<Node>),
    Pod(Change<Pod>),
    /// `None` when the kind has been listed.
    Object(Kind, Option<ObjectChange>),
}

type TakeIn = dyn FnOnce(&mut Snapshot) -> Option<ClusterEvent> + Send;

/// A change of an object that the snapshot takes in as it is.
pub(super) struct ObjectChange(Box<TakeIn>);

impl ObjectChange {
    /// Makes the change and says what it is for waiting pods, if any of them could be helped by it.
    pub(super) fn apply(self, snapshot: &mut Snapshot) -> Option<ClusterEvent> {
        (self.0)(snapshot)
    }
}

impl Debug for ObjectChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectChange").finish_non_exhaustive()
    }
}

/// Watches everything, again and again when that fails.
pub(super) fn watch(client: &Client) -> BoxStream<'static, Observed> {
    let streams = [
        changes(Api::<Node>::all(client.clone())).map(Observed::Node).boxed(),
        changes(Api::<Pod>::all(client.clone())).map(Observed::Pod).boxed(),
        storage::<PersistentVolumeClaim>(client, Kind::Claim, Storage::upsert_claim, Storage::remove_claim),
        storage::<PersistentVolume>(client, Kind::Volume, Storage::upsert_volume, Storage::remove_volume),
        storage::<StorageClass>(client, Kind::Class, Storage::upsert_class, Storage::remove_class),
        storage::<CSINode>(client, Kind::CsiNode, Storage::upsert_csi_node, Storage::remove_csi_node),
        storage::<CSIDriver>(client, Kind::CsiDriver, Storage::upsert_csi_driver, Storage::remove_csi_driver),
        storage::<CSIStorageCapacity>(
            client,
            Kind::Capacity,
            Storage::upsert_capacity,
            Storage::remove_capacity,
        ),
        objects::<Namespace>(client, Kind::Namespace, feeds::namespace),
        objects::<PodDisruptionBudget>(client, Kind::Budget, feeds::budget),
        objects::<Service>(client, Kind::Service, feeds::service),
        objects::<ReplicationController>(client, Kind::ReplicationController, feeds::replication_controller),
        objects::<ReplicaSet>(client, Kind::ReplicaSet, feeds::replica_set),
        objects::<StatefulSet>(client, Kind::StatefulSet, feeds::stateful_set),
    ];
    select_all(streams).boxed()
}

fn storage<K>(
    client: &Client,
    kind: Kind,
    upsert: fn(&mut Storage, K),
    remove: fn(&mut Storage, &str),
) -> BoxStream<'static, Observed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    objects(client, kind, move |snapshot, key, object| {
        match object {
            Some(object) => upsert(snapshot.storage_mut(), object),
            None => remove(snapshot.storage_mut(), key),
        }
        let claim = (kind == Kind::Claim).then(|| key.into());
        Some(ClusterEvent::StorageChanged { claim })
    })
}

/// The changes of a kind. `take_in` is given the key of an object and how it is now, `None` if it is gone.
fn objects<K>(
    client: &Client,
    kind: Kind,
    take_in: impl Fn(&mut Snapshot, &str, Option<K>) -> Option<ClusterEvent> + Copy + Send + 'static,
) -> BoxStream<'static, Observed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let observed = changes(Api::<K>::all(client.clone())).map(move |observed| {
        let (key, object) = match observed {
            Change::Applied(object) => (key(&*object), Some(*object)),
            Change::Deleted(key) => (key, None),
            Change::Synced => return Observed::Object(kind, None),
        };
        let change = move |snapshot: &mut Snapshot| take_in(snapshot, &key, object);
        Observed::Object(kind, Some(ObjectChange(Box::new(change))))
    });
    observed.boxed()
}
