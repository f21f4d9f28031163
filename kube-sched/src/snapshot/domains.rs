//! Nodes by the value of a label: the domains of a topology.

use std::sync::Arc;

use super::column::Column;
use super::interner::Interner;
use super::{NodeId, Snapshot};
use crate::node::NodeInfo;
use crate::terms::PER_NODE;

/// A node label whose values are counted by, or [`PER_NODE`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Topology {
    pub(super) key: Arc<str>,
    /// How many tallies need it.
    pub(super) uses: usize,
    /// The values in use, as numbers.
    pub(super) values: Interner<Arc<str>>,
    /// One more than the number of a node's value; zero for a node without the label.
    pub(super) slots: Column<u32>,
    /// Nodes that have the label.
    pub(super) nodes: usize,
}

impl Topology {
    /// The number of the node's value.
    #[inline]
    pub(super) fn slot(&self, node: NodeId) -> Option<usize> {
        (self.slots.at(node.index()) as usize).checked_sub(1)
    }

    /// Takes note of a node's new value, or that it has none.
    fn set(&mut self, node: NodeId, value: Option<Arc<str>>) {
        if let Some(slot) = self.slot(node) {
            self.values.release(u32::try_from(slot).unwrap_or(u32::MAX));
            self.nodes -= 1;
        }
        self.nodes += usize::from(value.is_some());
        *self.slots.make_mut(node.index()) = value.map_or(0, |value| self.values.acquire(&value) + 1);
    }
}

/// The value that places a node in a topology.
fn value_of(info: &NodeInfo, key: &str) -> Option<Arc<str>> {
    if key == PER_NODE {
        return Some(Arc::clone(&info.name));
    }
    info.labels.get(key).map(|value| value.as_str().into())
}

impl Snapshot {
    /// The number of a topology, built if nobody has needed it so far.
    pub(super) fn hold_topology(&mut self, key: &Arc<str>) -> usize {
        let known = self.topologies.iter().position(|topology| topology.uses > 0 && topology.key == *key);
        let index = known.unwrap_or_else(|| self.build_topology(key));
        Arc::make_mut(&mut self.topologies)[index].uses += 1;
        index
    }

    pub(super) fn release_topology(&mut self, index: usize) {
        let topology = &mut Arc::make_mut(&mut self.topologies)[index];
        topology.uses -= 1;
        if topology.uses == 0 {
            *topology = Topology::default();
        }
    }

    fn build_topology(&mut self, key: &Arc<str>) -> usize {
        let mut topology = Topology { key: Arc::clone(key), ..Topology::default() };
        for node in self.nodes() {
            if let Some(value) = node.info().and_then(|info| value_of(info, key)) {
                topology.set(node.id(), Some(value));
            }
        }
        let topologies = Arc::make_mut(&mut self.topologies);
        match topologies.iter().position(|topology| topology.uses == 0) {
            Some(free) => {
                topologies[free] = topology;
                free
            }
            None => {
                topologies.push(topology);
                topologies.len() - 1
            }
        }
    }

    /// Moves a node, and its pods with it, to the domains that its new labels say; `None` for a node that is gone.
    pub(super) fn move_node(&mut self, id: NodeId, new: Option<&NodeInfo>) {
        let old = self.infos.get(id.index()).cloned().flatten();
        let moves = |topology: &Topology| {
            let value = |info: Option<&NodeInfo>| info.and_then(|info| value_of(info, &topology.key));
            topology.uses > 0 && value(old.as_deref()) != value(new)
        };
        let moved: Vec<_> =
            (0..self.topologies.len()).filter(|index| moves(&self.topologies[*index])).collect();
        if moved.is_empty() {
            return;
        }
        self.recount_around(&[id], |snapshot| {
            for topology in moved {
                let topology = &mut Arc::make_mut(&mut snapshot.topologies)[topology];
                let value = new.and_then(|info| value_of(info, &topology.key));
                topology.set(id, value);
            }
        });
    }
}
