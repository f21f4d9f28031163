//! Keeping the node columns up to date.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Taint;

use super::{NodeId, Snapshot, fresh_stamp};
use crate::node::NodeInfo;

/// A node's taints; nodes with the same share one.
#[derive(Debug, Clone, PartialEq)]
pub struct TaintSet(pub(crate) Arc<Vec<Taint>>);

impl TaintSet {
    /// The taints, in the order of the node object.
    #[must_use]
    pub fn taints(&self) -> &[Taint] {
        &self.0
    }
}

impl Eq for TaintSet {}

impl Hash for TaintSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for taint in self.0.iter() {
            (&taint.key, &taint.value, &taint.effect).hash(state);
        }
    }
}

impl Snapshot {
    /// Adds a node or replaces what is known of it; its pods stay.
    pub fn upsert_node(&mut self, node: Arc<NodeInfo>) -> NodeId {
        let id = self.slot_of(&node.name);
        let index = id.index();
        self.move_node(id, Some(&node));
        self.touch(id);
        self.facts = fresh_stamp();
        if self.infos.get(index).is_some_and(Option::is_some) {
            self.release_facts(id);
        } else {
            *self.position.make_mut(index) = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
            self.order.push(id);
        }
        let mut labels: Vec<_> = node
            .labels
            .iter()
            .map(|(key, value)| {
                (
                    self.label_keys.acquire(&key.as_str().into()),
                    self.label_values.acquire(&value.as_str().into()),
                )
            })
            .collect();
        labels.sort_unstable();
        *self.labels.make_mut(index) = Arc::new(labels);
        *self.taint_sets.make_mut(index) = self.taints.acquire(&TaintSet(Arc::new(node.taints.clone())));
        for (image, size) in &node.images {
            // As upstream: of nodes that tell different sizes, the one counts that told first.
            let (size, nodes) = self.images.get(image).copied().unwrap_or((*size, 0));
            self.images.insert(Arc::clone(image), (size, nodes + 1));
        }
        *self.allocatable.make_mut(index) = node.allocatable.base;
        *self.unschedulable.make_mut(index) = node.unschedulable;
        *self.infos.make_mut(index) = Some(node);
        id
    }

    /// Removes a node. Pods still placed on it are kept until they are removed themselves.
    pub fn remove_node(&mut self, name: &str) {
        let Some(id) = self.by_name.get(name).copied() else { return };
        let index = id.index();
        if self.infos.get(index).is_none_or(Option::is_none) {
            return;
        }
        self.move_node(id, None);
        self.touch(id);
        self.facts = fresh_stamp();
        self.release_facts(id);
        *self.infos.make_mut(index) = None;
        *self.allocatable.make_mut(index) = Default::default();
        let position = self.position.at(index) as usize;
        if let Some(last) = self.order.pop()
            && last != id
        {
            *self.order.make_mut(position) = last;
            *self.position.make_mut(last.index()) = u32::try_from(position).unwrap_or(u32::MAX);
        }
        self.free_if_empty(id, name);
    }

    /// The slot of a node, made if there is none yet.
    pub(super) fn slot_of(&mut self, name: &Arc<str>) -> NodeId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let fresh = NodeId(u32::try_from(self.infos.len()).unwrap_or(u32::MAX));
        let id = self.free.pop().unwrap_or(fresh);
        *self.infos.make_mut(id.index()) = None;
        self.by_name.insert(Arc::clone(name), id);
        id
    }

    /// Frees a slot that has neither a node nor pods.
    pub(super) fn free_if_empty(&mut self, id: NodeId, name: &str) {
        let empty = self.pods.get(id.index()).is_none_or(|pods| pods.is_empty());
        if empty && self.infos.get(id.index()).is_none_or(Option::is_none) {
            self.by_name.remove(name);
            self.free.push(id);
        }
    }

    fn release_facts(&mut self, id: NodeId) {
        let index = id.index();
        for &(key, value) in std::mem::take(self.labels.make_mut(index)).iter() {
            self.label_keys.release(key);
            self.label_values.release(value);
        }
        self.taints.release(self.taint_sets.at(index));
        let Some(info) = self.infos.get(index).cloned().flatten() else { return };
        for image in info.images.keys() {
            match self.images.get(image).copied() {
                Some((size, nodes)) if nodes > 1 => {
                    self.images.insert(Arc::clone(image), (size, nodes - 1));
                }
                _ => {
                    self.images.remove(image);
                }
            }
        }
    }
}
