//! Keeping the pods and what they use up to date.

use std::sync::Arc;

use super::{NodeId, Placement, Snapshot};
use crate::pod::PodInfo;
use crate::resources::add_extended;

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
            self.displace(&placement);
        }
    }

    /// Notes that preemption has made room for `pod` on `node`, so that pods of lower priority leave it alone.
    pub fn nominate(&mut self, pod: Arc<PodInfo>, node: Arc<str>) {
        Arc::make_mut(&mut self.nominated).insert(Arc::clone(&pod.key), (pod, node));
    }

    /// Withdraws a nomination.
    pub fn withdraw_nomination(&mut self, key: &str) {
        if self.nominated.contains_key(key) {
            Arc::make_mut(&mut self.nominated).remove(key);
        }
    }

    /// A fork on which the nominated pods that `pod` may not displace are placed; `None` if there are none.
    pub(crate) fn with_nominated(&self, pod: &PodInfo) -> Option<Self> {
        let mut fork: Option<Self> = None;
        for (other, node) in self.nominated.values() {
            if other.priority >= pod.priority && other.key != pod.key && self.pod(&other.key).is_none() {
                fork.get_or_insert_with(|| self.fork()).assume(other, node);
            }
        }
        fork
    }

    fn place(&mut self, pod: Arc<PodInfo>, node_name: Arc<str>, assumed: bool) {
        self.withdraw_nomination(&pod.key);
        self.remove_pod(&pod.key);
        let node = self.slot_of(&node_name);
        self.count(node, &pod, 1);
        let holds = self.hold_tallies(&pod);
        self.tally_pod(node, &pod, &holds, 1);
        Arc::make_mut(self.pods.make_mut(node.index())).push(Arc::clone(&pod));
        if !pod.host_ports.is_empty() {
            let ports = Arc::make_mut(self.ports.make_mut(node.index()));
            ports.extend(pod.host_ports.iter().cloned());
            ports.sort_unstable();
        }
        self.pods_by_key.insert(Arc::clone(&pod.key), Placement { node, node_name, pod, assumed, holds });
    }

    fn hold_tallies(&mut self, pod: &PodInfo) -> Arc<[(u32, i64)]> {
        let defaults = self.default_tallies(pod);
        let own = pod.terms.iter().flat_map(|terms| &terms.tallies).map(|(key, weight)| (key, *weight));
        own.chain(defaults.iter().map(|key| (key, 0)))
            .map(|(key, weight)| (self.hold_tally(key), weight))
            .collect()
    }

    fn displace(&mut self, Placement { node, node_name, pod, holds, .. }: &Placement) {
        self.count(*node, pod, -1);
        self.tally_pod(*node, pod, holds, -1);
        holds.iter().for_each(|(id, _)| self.release_tally(*id));
        Arc::make_mut(self.pods.make_mut(node.index())).retain(|other| other.key != pod.key);
        if !pod.host_ports.is_empty() {
            let ports = Arc::make_mut(self.ports.make_mut(node.index()));
            for port in &pod.host_ports {
                if let Ok(found) = ports.binary_search(port) {
                    ports.remove(found);
                }
            }
        }
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
