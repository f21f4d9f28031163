//! The kinds that are watched: one row for each.

use std::fmt::Debug;
use std::sync::Arc;

use fastrand::Rng;
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::feeds;
use super::reflector::Reflector;
use crate::Error;
use crate::framework::ClusterEvent;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Changes that were read and not taken in yet; watches wait beyond.
const MAX_CHANGES: usize = 256;

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
    DeviceClaim,
    DeviceClass,
    DeviceSlice,
    Workload,
    Namespace,
    Budget,
    Service,
    ReplicationController,
    ReplicaSet,
    StatefulSet,
}

/// How a kind is watched.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: Kind,
    /// Where all objects of it are listed.
    pub(super) path: &'static str,
    /// Reads an object that is new or has changed.
    pub(super) read: fn(&str, &mut Shared) -> serde_json::Result<Seen>,
    /// Says that the object with this key is gone.
    pub(super) forget: fn(String) -> Observed,
}

macro_rules! rows {
    ($($kind:ident $path:literal $take_in:path),+ $(,)?) => {
        /// All kinds.
        pub(super) static ROWS: &[Row] = &[
            Row { kind: Kind::Node, path: "/api/v1/nodes", read: node, forget: Observed::NodeGone },
            Row { kind: Kind::Pod, path: "/api/v1/pods", read: pod, forget: Observed::PodGone },
            $(Row {
                kind: Kind::$kind,
                path: $path,
                read: |text, _| object(text, $take_in),
                forget: |key| changed(key, None, $take_in),
            }),+
        ];
    };
}

rows! {
    Claim "/api/v1/persistentvolumeclaims" feeds::claim,
    Volume "/api/v1/persistentvolumes" feeds::volume,
    Class "/apis/storage.k8s.io/v1/storageclasses" feeds::class,
    CsiNode "/apis/storage.k8s.io/v1/csinodes" feeds::csi_node,
    CsiDriver "/apis/storage.k8s.io/v1/csidrivers" feeds::csi_driver,
    Capacity "/apis/storage.k8s.io/v1/csistoragecapacities" feeds::capacity,
    DeviceClaim "/apis/resource.k8s.io/v1/resourceclaims" feeds::device_claim,
    DeviceClass "/apis/resource.k8s.io/v1/deviceclasses" feeds::device_class,
    DeviceSlice "/apis/resource.k8s.io/v1/resourceslices" feeds::device_slice,
    Workload "/apis/scheduling.k8s.io/v1alpha1/workloads" feeds::workload,
    Namespace "/api/v1/namespaces" feeds::namespace,
    Budget "/apis/policy/v1/poddisruptionbudgets" feeds::budget,
    Service "/api/v1/services" feeds::service,
    ReplicationController "/api/v1/replicationcontrollers" feeds::replication_controller,
    ReplicaSet "/apis/apps/v1/replicasets" feeds::replica_set,
    StatefulSet "/apis/apps/v1/statefulsets" feeds::stateful_set,
}

/// What has become known. Objects without a namespace go by their name, others by `namespace/name`.
#[derive(Debug)]
pub(super) enum Observed {
    /// A node and its object, for extenders that do not know it.
    Node(Arc<NodeInfo>, Option<Box<RawValue>>),
    NodeGone(String),
    Pod(Arc<PodInfo>),
    PodGone(String),
    Object(ObjectChange),
    /// The kind has been listed.
    Synced(Kind),
}

/// How an object is taken in, given its key and how it is now, `None` if it is gone.
type TakeIn<K> = fn(&mut Snapshot, &str, Option<K>) -> Option<ClusterEvent>;

/// A change of an object that the snapshot takes in as it is.
pub(super) struct ObjectChange(Box<Change>);

type Change = dyn FnOnce(&mut Snapshot) -> Option<ClusterEvent> + Send;

impl ObjectChange {
    /// Makes the change and says what it is for waiting pods, if any of them could be helped by it.
    pub(super) fn apply(self, snapshot: &mut Snapshot) -> Option<ClusterEvent> {
        (self.0)(snapshot)
    }
}

fn changed<K: Send + 'static>(key: String, object: Option<K>, take_in: TakeIn<K>) -> Observed {
    Observed::Object(ObjectChange(Box::new(move |snapshot| take_in(snapshot, &key, object))))
}

impl Debug for ObjectChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectChange").finish_non_exhaustive()
    }
}

/// Which object it is, and in which version.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Identity {
    namespace: Option<String>,
    name: String,
    #[serde(rename = "resourceVersion")]
    pub(super) version: Option<String>,
}

impl Identity {
    /// Reads nothing else of the object.
    pub(super) fn read(text: &str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Whole {
            metadata: Identity,
        }
        Ok(serde_json::from_str::<Whole>(text)?.metadata)
    }

    fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            version: metadata.resource_version.clone(),
        }
    }

    pub(super) fn key(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// An object that was read.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) identity: Identity,
    /// `None` for an object that is at fault.
    pub(super) observed: Option<Observed>,
}

impl Seen {
    fn parsed(identity: Identity, observed: Result<Observed, Error>) -> Self {
        let ignore = |error: &Error| tracing::warn!(%error, object = identity.key(), "ignoring an object");
        let observed = observed.inspect_err(ignore).ok();
        Self { identity, observed }
    }
}

/// An object's metadata.
pub(super) trait Described {
    fn described(&mut self) -> &mut ObjectMeta;
}

impl<K: Metadata<Ty = ObjectMeta>> Described for K {
    fn described(&mut self) -> &mut ObjectMeta {
        self.metadata_mut()
    }
}

fn node(text: &str, shared: &mut Shared) -> serde_json::Result<Seen> {
    let node: Node = serde_json::from_str(text)?;
    let text = RawValue::from_string(text.to_owned()).ok();
    let parsed =
        NodeInfo::parse_among(&node, &mut shared.names).map(|node| Observed::Node(Arc::new(node), text));
    Ok(Seen::parsed(Identity::of(&node.metadata), parsed))
}

fn pod(text: &str, shared: &mut Shared) -> serde_json::Result<Seen> {
    let pod: Pod = serde_json::from_str(text)?;
    let identity = Identity::of(&pod.metadata);
    let parsed = PodInfo::parse_among(pod, &mut shared.templates);
    Ok(Seen::parsed(identity, parsed.map(|pod| Observed::Pod(Arc::new(pod)))))
}

fn object<K>(text: &str, take_in: TakeIn<K>) -> serde_json::Result<Seen>
where
    K: Described + DeserializeOwned + Send + 'static,
{
    let mut object: K = serde_json::from_str(text)?;
    let metadata = object.described();
    // Nobody here asks who wrote what, and it may be larger than all the rest.
    metadata.managed_fields = None;
    let identity = Identity::of(metadata);
    let observed = changed(identity.key(), Some(object), take_in);
    Ok(Seen { identity, observed: Some(observed) })
}

/// The watches of all kinds; they end with the value.
#[derive(Debug)]
pub(super) struct Watches {
    changes: mpsc::Receiver<Observed>,
    _tasks: JoinSet<()>,
}

impl Watches {
    /// Watches everything, again and again when that fails. Objects are read in tasks of their own, so that the scheduling loop only
    /// takes them in.
    pub(super) fn start(client: &Client, rng: &mut Rng) -> Self {
        let (sender, changes) = mpsc::channel(MAX_CHANGES);
        let mut tasks = JoinSet::new();
        for row in ROWS {
            tasks.spawn(Reflector::new(client.clone(), row, sender.clone(), rng.fork()).run());
        }
        Self { changes, _tasks: tasks }
    }

    /// What has become known since, without waiting.
    pub(super) fn take(&mut self) -> Option<Observed> {
        self.changes.try_recv().ok()
    }

    /// Waits for what becomes known next.
    pub(super) async fn next(&mut self) -> Option<Observed> {
        self.changes.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row() {
        let mut kinds: Vec<_> = ROWS.iter().map(|row| row.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), ROWS.len());
        assert_eq!(kinds.last(), Some(&Kind::StatefulSet));
    }

    #[test]
    fn an_object_is_read_with_its_key_and_version() {
        for (namespace, key) in [("", "web"), (r#""namespace":"ns","#, "ns/web")] {
            let text =
                format!(r#"{{"metadata":{{{namespace}"name":"web","resourceVersion":"7"}},"spec":{{}}}}"#);
            for row in ROWS {
                let seen = (row.read)(&text, &mut Shared::default()).unwrap();
                assert_eq!(
                    (seen.identity.key().as_str(), seen.identity.version.as_deref()),
                    (key, Some("7"))
                );
                assert!(seen.observed.is_some());
            }
            assert_eq!(Identity::read(&text).unwrap().key(), key);
        }
    }

    #[test]
    fn who_wrote_what_is_not_kept() {
        let text = r#"{"metadata":{"namespace":"ns","name":"web","managedFields":[{"manager":"m"}]}}"#;
        let row = ROWS.iter().find(|row| row.kind == Kind::Claim).unwrap();
        let seen = (row.read)(text, &mut Shared::default()).unwrap();
        let Some(Observed::Object(change)) = seen.observed else { panic!("an object") };
        let mut snapshot = Snapshot::new();
        change.apply(&mut snapshot);
        assert_eq!(snapshot.storage().claim("ns/web").unwrap().object.metadata.managed_fields, None);
    }

    #[test]
    fn an_object_with_a_bad_quantity_is_known_but_not_taken_in() {
        let text = r#"{"metadata":{"name":"n"},"status":{"allocatable":{"cpu":"lots"}}}"#;
        let read = |text| node(text, &mut Shared::default());
        let seen = read(text).unwrap();
        assert_eq!(seen.identity.key(), "n");
        assert!(seen.observed.is_none());
        assert!(read(r#"{"metadata":7}"#).is_err());
    }
}
