//! Keeping the pods and what they use up to date.

use std::sync::Arc;

use super::{NodeId, NodeView, Placement, Snapshot};
use crate::pod::PodInfo;
use crate::resources::add_extended;

/// What a what-if keeps up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The node alone, for those who look at nothing else.
    Node,
    /// What is counted all over the cluster too.
    Cluster,
}

impl Snapshot {
    /// Takes in what the API server says of a pod: places it where it is bound, or removes it if it is finished.
    ///
    /// A pod that is not bound changes nothing while it is assumed, and is forgotten otherwise.
    pub fn upsert_pod(&mut self, pod: Arc<PodInfo>) {
        let bound = pod.node_name.clone().filter(|_| !pod.is_finished());
        match bound {
            Some(node) => self.place(pod, node, false),
            None if self.is_assumed(&pod.key) && !pod.is_finished() => {}
            None => self.remove_pod(&pod.key),
        }
    }

    /// Places a pod on a node before the API server has confirmed it.
    pub fn assume(&mut self, pod: &PodInfo, node: &Arc<str>) {
        self.place(Arc::new(pod.bound_to(node)), Arc::clone(node), true);
    }

    /// Takes an assumed pod back; does nothing once its binding is confirmed.
    pub fn forget(&mut self, key: &str) {
        if self.is_assumed(key) {
            self.remove_pod(key);
        }
    }

    /// Removes a pod.
    pub fn remove_pod(&mut self, key: &str) {
        if let Some(placement) = self.pods_by_key.remove(key) {
            self.placed -= 1;
            self.assumed -= usize::from(placement.assumed);
            self.displace(&placement);
        }
    }

    /// Notes that preemption has made room for `pod` on `node`, so that pods of lower priority leave it alone.
    pub fn nominate(&mut self, pod: Arc<PodInfo>, node: Arc<str>) {
        self.withdraw_nomination(&pod.key);
        self.nominations += 1;
        self.nominated_nodes.insert(Arc::clone(&pod.key), Arc::clone(&node));
        self.touch_named(&node);
        let mut pods = self.nominated.remove(&node).unwrap_or_default();
        Arc::make_mut(&mut pods).push(pod);
        self.nominated.insert(node, pods);
    }

    /// Withdraws a nomination.
    pub fn withdraw_nomination(&mut self, key: &str) {
        // Nearly always there is none; then nothing may be copied.
        if self.nominations == 0 || self.nominated_nodes.get(key).is_none() {
            return;
        }
        self.nominations -= 1;
        let Some(node) = self.nominated_nodes.remove(key) else { return };
        self.touch_named(&node);
        let Some(mut pods) = self.nominated.remove(&node) else { return };
        Arc::make_mut(&mut pods).retain(|pod| *pod.key != *key);
        if !pods.is_empty() {
            self.nominated.insert(node, pods);
        }
    }

    /// A fork on which the pods are placed that are nominated for `node` and that `pod` may not displace; `None` if there are none.
    pub(crate) fn with_nominated(&self, pod: &PodInfo, node: NodeView<'_>) -> Option<Self> {
        if self.nominations == 0 {
            return None;
        }
        let pods = self.nominated.get(node.name())?;
        let (mut fork, name) = (None, node.info()?.name.clone());
        for other in pods.iter() {
            if other.priority >= pod.priority && other.key != pod.key && self.pod(&other.key).is_none() {
                fork.get_or_insert_with(|| self.fork()).assume(other, &name);
            }
        }
        fork
    }

    /// Whether room is made for a pod on a node.
    pub(crate) fn has_nominated(&self, node: NodeId) -> bool {
        self.nominations > 0 && self.nominated.get(self.view(node).name()).is_some()
    }

    /// Whether room is made for this very pod on a node, so that it is judged there as no other of its kind.
    pub(crate) fn is_nominated(&self, pod: &PodInfo, node: NodeId) -> bool {
        let nominated = || self.nominated_nodes.get(&pod.key);
        self.nominations > 0 && nominated().is_some_and(|name| **name == *self.view(node).name())
    }

    /// What is known of a node with room for somebody else may be outdated.
    fn touch_named(&mut self, node: &str) {
        if let Some(id) = self.by_name.get(node).copied() {
            self.touch(id);
        }
    }

    /// Takes a pod off a node for a what-if, while its place stays known; it comes back by [`resume`](Self::resume).
    pub(crate) fn suspend(&mut self, node: NodeId, pod: &Arc<PodInfo>, extent: Extent) {
        self.shift(node, pod, extent, -1);
    }

    /// Puts a suspended pod back.
    pub(crate) fn resume(&mut self, node: NodeId, pod: &Arc<PodInfo>, extent: Extent) {
        self.shift(node, pod, extent, 1);
    }

    fn shift(&mut self, node: NodeId, pod: &Arc<PodInfo>, extent: Extent, sign: i64) {
        if extent == Extent::Cluster {
            let placement = self.pods_by_key.get(&pod.key);
            let holds = placement.map_or_else(Arc::default, |placement| Arc::clone(&placement.holds));
            self.tally_pod(node, pod, &holds, sign);
        }
        self.occupy(node, pod, sign);
    }

    /// Adds a pod to what a node holds, or takes it off if `sign` is negative.
    fn occupy(&mut self, node: NodeId, pod: &Arc<PodInfo>, sign: i64) {
        self.count(node, pod, sign);
        let pods = Arc::make_mut(self.pods.make_mut(node.index()));
        if sign > 0 {
            pods.push(Arc::clone(pod));
        } else {
            pods.retain(|other| other.key != pod.key);
        }
        if pod.template.host_ports.is_empty() {
            return;
        }
        let ports = Arc::make_mut(self.ports.make_mut(node.index()));
        if sign > 0 {
            ports.extend(pod.template.host_ports.iter().cloned());
            ports.sort_unstable();
            return;
        }
        for port in &pod.template.host_ports {
            if let Ok(found) = ports.binary_search(port) {
                ports.remove(found);
            }
        }
    }

    fn place(&mut self, pod: Arc<PodInfo>, node_name: Arc<str>, assumed: bool) {
        self.withdraw_nomination(&pod.key);
        self.remove_pod(&pod.key);
        let node = self.slot_of(&node_name);
        let holds = self.hold_tallies(&pod);
        self.touch(node);
        self.tally_pod(node, &pod, &holds, 1);
        self.occupy(node, &pod, 1);
        self.placed += 1;
        self.assumed += usize::from(assumed);
        self.pods_by_key.insert(Arc::clone(&pod.key), Placement { node, node_name, pod, assumed, holds });
    }

    fn hold_tallies(&mut self, pod: &PodInfo) -> Arc<[(u32, i64)]> {
        let defaults = self.default_tallies(pod);
        let own =
            pod.terms().into_iter().flat_map(|terms| &terms.tallies).map(|(key, weight)| (key, *weight));
        let mut keys = own.chain(defaults.iter().map(|key| (key, 0))).peekable();
        if keys.peek().is_none() {
            // Most pods hold none, and share this.
            return Arc::default();
        }
        keys.map(|(key, weight)| (self.hold_tally(key), weight)).collect()
    }

    fn displace(&mut self, Placement { node, node_name, pod, holds, .. }: &Placement) {
        self.touch(*node);
        self.tally_pod(*node, pod, holds, -1);
        self.occupy(*node, pod, -1);
        holds.iter().for_each(|(id, _)| self.release_tally(*id));
        self.free_if_empty(*node, node_name);
    }

    fn count(&mut self, node: NodeId, pod: &PodInfo, sign: i64) {
        self.requested.make_mut(node.index()).add(&pod.requests.base, sign);
        self.nonzero.make_mut(node.index()).add(&pod.nonzero, sign);
        if !pod.requests.extended.is_empty() {
            let used = Arc::make_mut(self.extended_requested.make_mut(node.index()));
            add_extended(used, &pod.requests.extended, sign);
        }
    }
}
