//! Everything that is watched, as one stream.

use std::fmt::Debug;

use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

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
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Node,
        Self::Pod,
        Self::Claim,
        Self::Volume,
        Self::Class,
        Self::CsiNode,
        Self::CsiDriver,
        Self::Capacity,
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

/// A change of an object that the snapshot takes in as it is, and the event that it is for waiting pods.
pub(super) struct ObjectChange {
    pub(super) apply: Box<dyn FnOnce(&mut Snapshot) + Send>,
    pub(super) event: ClusterEvent,
}

impl Debug for ObjectChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectChange").field("event", &self.event).finish_non_exhaustive()
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
    let change = move |key: &str, apply: Box<dyn FnOnce(&mut Snapshot) + Send>| {
        let claim = (kind == Kind::Claim).then(|| key.into());
        Observed::Object(kind, Some(ObjectChange { apply, event: ClusterEvent::StorageChanged { claim } }))
    };
    let observed = changes(Api::<K>::all(client.clone())).map(move |observed| match observed {
        Change::Applied(object) => {
            change(&key(&*object), Box::new(move |snapshot| upsert(snapshot.storage_mut(), *object)))
        }
        Change::Deleted(key) => {
            change(&key.clone(), Box::new(move |snapshot| remove(snapshot.storage_mut(), &key)))
        }
        Change::Synced => Observed::Object(kind, None),
    });
    observed.boxed()
}
