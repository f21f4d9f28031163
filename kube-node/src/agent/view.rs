//! The pods of the node as everybody in the process may look at them.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use parking_lot::RwLock;

/// The node's pods by uid.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodTable {
    pods: Arc<RwLock<BTreeMap<String, Arc<Pod>>>>,
}

impl PodTable {
    pub(crate) fn insert(&self, uid: &str, pod: Arc<Pod>) {
        self.pods.write().insert(uid.to_owned(), pod);
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.pods.write().remove(uid);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Pod>> {
        self.pods.read().values().cloned().collect()
    }

    #[expect(dead_code, reason = "the server will ask for pods by name")]
    /// The newest pod of this name; `uid` when given must be its uid.
    pub(crate) fn find(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Arc<Pod>> {
        let is = |p: &&Arc<Pod>| {
            let meta = &p.metadata;
            meta.namespace.as_deref() == Some(namespace)
                && meta.name.as_deref() == Some(name)
                && uid.is_none_or(|u| meta.uid.as_deref() == Some(u))
        };
        let pods = self.pods.read();
        let found =
            pods.values().filter(is).max_by_key(|p| p.metadata.creation_timestamp.as_ref().map(|t| t.0));
        found.cloned()
    }
}
