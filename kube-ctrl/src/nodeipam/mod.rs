//! Gives every node a pod network of its own.

mod pool;
#[cfg(test)]
mod tests;

pub use pool::Pool;

use crate::Result;
use crate::runner::{
    Action, Informer, Informers, Key, Note, Patch, Plan, Reconcile, Severity, Target, Wiring, reference,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often a node that found no network left asks again.
const RETRY: Duration = Duration::from_secs(30);

/// The controller `cidrAllocator`: writes `spec.podCIDR` and `spec.podCIDRs` of nodes that have none.
///
/// The nodes themselves are the record of what is taken, so there is nothing to rebuild after a restart. One
/// worker, and caches that show own writes at once, keep two nodes from getting the same network.
#[derive(Debug)]
pub struct NodeIpamController {
    nodes: Informer<Node>,
    pool: Pool,
}

/// A node without a pod network, and the networks taken.
#[derive(Debug)]
pub struct View {
    node: Arc<Node>,
    taken: BTreeSet<String>,
}

impl NodeIpamController {
    /// A controller that hands out networks of a pool.
    pub fn new(informers: &Arc<Informers>, pool: Pool) -> Self {
        Self { nodes: informers.get(), pool }
    }
}

fn networks(node: &Node) -> Vec<String> {
    let Some(spec) = &node.spec else { return Vec::new() };
    spec.pod_cidr
        .iter()
        .chain(spec.pod_cidrs.iter().flatten())
        .filter(|cidr| !cidr.is_empty())
        .cloned()
        .collect()
}

impl Reconcile for NodeIpamController {
    type View = View;

    fn name(&self) -> &'static str {
        "cidrAllocator"
    }

    fn workers(&self) -> usize {
        1
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Node>();
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let wants =
            |node: &Arc<Node>| networks(node).is_empty() && node.metadata.deletion_timestamp.is_none();
        let Some(node) = self.nodes.get(key).filter(wants) else { return Ok(None) };
        let taken = self.nodes.list().iter().flat_map(|node| networks(node)).collect();
        Ok(Some(View { node, taken }))
    }

    fn plan(&self, view: &View, _: Timestamp) -> Plan {
        let node = view.node.as_ref();
        match self.pool.first_free(&view.taken) {
            Some(cidr) => {
                let body = json!({"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}});
                Plan::of(vec![Action::from(Patch { target: Target::of(node), subresource: None, body })])
            }
            None => {
                let name = node.metadata.name.as_deref().unwrap_or_default();
                let note = Note {
                    about: reference(node),
                    severity: Severity::Normal,
                    reason: "CIDRNotAvailable",
                    message: format!("Node {name} status is now: CIDRNotAvailable"),
                };
                Plan::of(vec![note.into()]).again_after(RETRY)
            }
        }
    }
}
