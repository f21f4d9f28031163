//! The storage objects that volume plugins look at. A snapshot without any decides as if no pod had a claim.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{NodeSelector, ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass};

use super::Snapshot;
use crate::resources::value;
use crate::selector::term_matches;

/// On a claim: the control plane has bound it for good.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a claim: the node for which its volume is made.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// A claim's or volume's class in the days before there was a field for it.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// A claim in parsed form.
#[derive(Clone)]
pub struct Claim {
    /// `namespace/name`.
    pub key: Arc<str>,
    /// The class it asks for; empty for none.
    pub class: String,
    /// The volume it names, which need not be bound to it yet.
    pub volume: Option<String>,
    /// The node for which its volume is made, if one was chosen.
    pub selected_node: Option<String>,
    /// Bytes.
    pub size: i64,
    /// The object itself.
    pub object: Arc<PersistentVolumeClaim>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut claim = f.debug_struct("Claim");
        claim.field("key", &self.key).field("class", &self.class).field("volume", &self.volume);
        claim.field("selected_node", &self.selected_node).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Claim {
    fn parse(object: Arc<PersistentVolumeClaim>) -> Self {
        let (metadata, spec) = (&object.metadata, object.spec.as_ref());
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name).cloned();
        let requests = spec.and_then(|s| s.resources.as_ref()).and_then(|r| r.requests.as_ref());
        Self {
            key: key(metadata.namespace.as_deref(), metadata.name.as_deref()),
            class: annotation(BETA_CLASS).or_else(|| spec?.storage_class_name.clone()).unwrap_or_default(),
            volume: spec.and_then(|s| s.volume_name.clone()).filter(|name| !name.is_empty()),
            selected_node: annotation(SELECTED_NODE),
            size: requests.and_then(|r| r.get("storage")).and_then(|q| value(&q.0).ok()).unwrap_or_default(),
            object,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, name)| name)
    }

    /// Whether the control plane has bound it for good.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        let annotations = self.object.metadata.annotations.as_ref();
        self.volume.is_some() && annotations.is_some_and(|all| all.contains_key(BIND_COMPLETED))
    }

    /// Whether its volume is gone for ever.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.object.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost")
    }

    /// The access modes it asks for.
    #[must_use]
    pub fn access_modes(&self) -> &[String] {
        self.object.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default()
    }
}

/// A volume in parsed form.
#[derive(Clone)]
pub struct Volume {
    /// Its name.
    pub name: Arc<str>,
    /// Its class; empty for none.
    pub class: String,
    /// Bytes.
    pub capacity: i64,
    /// The nodes that can reach it; `None` means all.
    pub affinity: Option<NodeSelector>,
    /// The object itself.
    pub object: Arc<PersistentVolume>,
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut volume = f.debug_struct("Volume");
        volume.field("name", &self.name).field("class", &self.class).field("capacity", &self.capacity);
        volume.finish_non_exhaustive()
    }
}

impl Volume {
    fn parse(object: Arc<PersistentVolume>) -> Self {
        let (metadata, spec) = (&object.metadata, object.spec.as_ref());
        let beta = metadata.annotations.as_ref().and_then(|all| all.get(BETA_CLASS)).cloned();
        let capacity = spec.and_then(|s| s.capacity.as_ref()).and_then(|c| c.get("storage"));
        Self {
            name: metadata.name.as_deref().unwrap_or_default().into(),
            class: beta.or_else(|| spec?.storage_class_name.clone()).unwrap_or_default(),
            capacity: capacity.and_then(|q| value(&q.0).ok()).unwrap_or_default(),
            affinity: spec.and_then(|s| s.node_affinity.as_ref()).and_then(|a| a.required.clone()),
            object,
        }
    }

    /// The claim it is bound to or reserved for.
    #[must_use]
    pub fn claim(&self) -> Option<&ObjectReference> {
        self.object.spec.as_ref()?.claim_ref.as_ref()
    }

    /// Whether a node with these labels can reach it.
    #[must_use]
    pub fn reachable_from(&self, labels: &BTreeMap<String, String>) -> bool {
        let terms = self.affinity.as_ref().map(|affinity| &affinity.node_selector_terms);
        terms.is_none_or(|terms| terms.iter().any(|term| term_matches(term, "", labels)))
    }
}

/// What has to happen to a pod's claims once it has a node.
#[derive(Debug, Clone, Default)]
pub struct VolumePlan {
    /// Claims and the volumes to bind them to.
    pub bindings: Vec<(Claim, Volume)>,
    /// Claims for which volumes are to be made.
    pub provisions: Vec<Claim>,
}

impl VolumePlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.provisions.is_empty()
    }
}

/// The storage objects of a cluster, and what is planned with them.
#[derive(Clone, Default)]
pub struct Storage {
    claims: HashMap<Arc<str>, Claim>,
    volumes: HashMap<Arc<str>, Volume>,
    by_class: HashMap<String, BTreeSet<Arc<str>>>,
    classes: HashMap<String, Arc<StorageClass>>,
    csi_nodes: HashMap<String, Arc<CSINode>>,
    csi_drivers: HashMap<String, Arc<CSIDriver>>,
    capacities: HashMap<Arc<str>, Arc<CSIStorageCapacity>>,
    /// By the pod's key.
    plans: HashMap<Arc<str>, Arc<VolumePlan>>,
}

impl fmt::Debug for Storage {
    /// How much there is; a cluster has thousands of each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut storage = f.debug_struct("Storage");
        storage.field("claims", &self.claims.len()).field("volumes", &self.volumes.len());
        storage.field("plans", &self.plans.len()).finish_non_exhaustive()
    }
}

impl Storage {
    /// Adds or replaces a claim.
    pub fn upsert_claim(&mut self, claim: PersistentVolumeClaim) {
        let claim = Claim::parse(Arc::new(claim));
        self.claims.insert(Arc::clone(&claim.key), claim);
    }

    /// Removes the claim `namespace/name`.
    pub fn remove_claim(&mut self, key: &str) {
        self.claims.remove(key);
    }

    /// Adds or replaces a volume.
    pub fn upsert_volume(&mut self, volume: PersistentVolume) {
        let volume = Volume::parse(Arc::new(volume));
        self.remove_volume(&volume.name.clone());
        self.by_class.entry(volume.class.clone()).or_default().insert(Arc::clone(&volume.name));
        self.volumes.insert(Arc::clone(&volume.name), volume);
    }

    /// Removes a volume.
    pub fn remove_volume(&mut self, name: &str) {
        let Some(volume) = self.volumes.remove(name) else { return };
        if let Some(names) = self.by_class.get_mut(&volume.class) {
            names.remove(name);
            if names.is_empty() {
                self.by_class.remove(&volume.class);
            }
        }
    }

    /// Adds or replaces a class.
    pub fn upsert_class(&mut self, class: StorageClass) {
        self.classes.insert(class.metadata.name.clone().unwrap_or_default(), Arc::new(class));
    }

    /// Removes a class.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// Adds or replaces what CSI says about a node.
    pub fn upsert_csi_node(&mut self, node: CSINode) {
        self.csi_nodes.insert(node.metadata.name.clone().unwrap_or_default(), Arc::new(node));
    }

    /// Removes what CSI says about a node.
    pub fn remove_csi_node(&mut self, name: &str) {
        self.csi_nodes.remove(name);
    }

    /// Adds or replaces a driver.
    pub fn upsert_csi_driver(&mut self, driver: CSIDriver) {
        self.csi_drivers.insert(driver.metadata.name.clone().unwrap_or_default(), Arc::new(driver));
    }

    /// Removes a driver.
    pub fn remove_csi_driver(&mut self, name: &str) {
        self.csi_drivers.remove(name);
    }

    /// Adds or replaces a statement about free space.
    pub fn upsert_capacity(&mut self, capacity: CSIStorageCapacity) {
        let key = key(capacity.metadata.namespace.as_deref(), capacity.metadata.name.as_deref());
        self.capacities.insert(key, Arc::new(capacity));
    }

    /// Removes the statement `namespace/name`.
    pub fn remove_capacity(&mut self, key: &str) {
        self.capacities.remove(key);
    }

    /// The claim `namespace/name`.
    #[must_use]
    pub fn claim(&self, key: &str) -> Option<&Claim> {
        self.claims.get(key)
    }

    /// A volume by its name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.get(name)
    }

    /// The volumes of a class, by name.
    pub fn volumes_of(&self, class: &str) -> impl Iterator<Item = &Volume> {
        self.by_class.get(class).into_iter().flatten().filter_map(|name| self.volumes.get(name))
    }

    /// A class by its name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&StorageClass> {
        self.classes.get(name).map(|class| &**class)
    }

    /// What CSI says about a node.
    #[must_use]
    pub fn csi_node(&self, name: &str) -> Option<&CSINode> {
        self.csi_nodes.get(name).map(|node| &**node)
    }

    /// A driver by its name.
    #[must_use]
    pub fn csi_driver(&self, name: &str) -> Option<&CSIDriver> {
        self.csi_drivers.get(name).map(|driver| &**driver)
    }

    /// All statements about free space, in no particular order.
    pub fn capacities(&self) -> impl Iterator<Item = &CSIStorageCapacity> {
        self.capacities.values().map(|capacity| &**capacity)
    }

    /// What is planned for the pod with this key.
    #[must_use]
    pub fn plan(&self, pod: &str) -> Option<&Arc<VolumePlan>> {
        self.plans.get(pod)
    }

    /// Plans for the pod with this key: its volumes are taken from now on, and its claims have their node.
    pub fn set_plan(&mut self, pod: Arc<str>, node: &str, plan: VolumePlan) {
        for claim in &plan.provisions {
            if let Some(claim) = self.claims.get_mut(&claim.key) {
                claim.selected_node = Some(node.to_owned());
            }
        }
        self.plans.insert(pod, Arc::new(plan));
    }

    /// Takes a plan back, or forgets it after it was carried out.
    pub fn drop_plan(&mut self, pod: &str) {
        let Some(plan) = self.plans.remove(pod) else { return };
        for claim in &plan.provisions {
            if let Some(claim) = self.claims.get_mut(&claim.key) {
                // What the object says counts again.
                *claim = Claim::parse(Arc::clone(&claim.object));
            }
        }
    }

    /// Whether the volume is planned for a claim of some pod.
    #[must_use]
    pub fn is_planned(&self, volume: &str) -> bool {
        let mut bindings = self.plans.values().flat_map(|plan| &plan.bindings);
        bindings.any(|(_, planned)| &*planned.name == volume)
    }
}

impl Snapshot {
    /// The storage objects.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The storage objects, to change them. Forks keep what they have seen.
    pub fn storage_mut(&mut self) -> &mut Storage {
        Arc::make_mut(&mut self.storage)
    }
}

fn key(namespace: Option<&str>, name: Option<&str>) -> Arc<str> {
    format!("{}/{}", namespace.unwrap_or("default"), name.unwrap_or_default()).into()
}
