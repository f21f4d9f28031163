//! Drives pods from nodes whose `NoExecute` taints they do not tolerate, or not for long.

mod plan;
#[cfg(test)]
mod tests;

use crate::pods::{self, BY_NODE};
use crate::runner::{Informer, Informers, Key, Plan, Reconcile, Wiring};
use crate::{Clock, Config, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The controller `taint-eviction-controller`.
#[derive(Debug)]
pub struct TaintEvictionController {
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    clock: Clock,
    /// Since when a pod has been running out of toleration: taints set by hand carry no time.
    since: Mutex<HashMap<Key, (String, Timestamp)>>,
}

/// A pod on a tainted node.
#[derive(Debug)]
pub struct View {
    pod: Arc<Pod>,
    taints: Vec<Taint>,
    since: Timestamp,
}

impl TaintEvictionController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>, config: &Config) -> Self {
        let pods: Informer<Pod> = informers.get();
        pods.index(BY_NODE, pods::node_words);
        Self { nodes: informers.get(), pods, clock: config.clock, since: Mutex::default() }
    }

    fn since(&self, key: &Key, pod: &Pod) -> Timestamp {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let mut since = self.since.lock();
        match since.get(key) {
            Some((known, at)) if *known == uid => *at,
            _ => {
                let now = self.clock.now();
                since.insert(key.clone(), (uid, now));
                now
            }
        }
    }
}

fn evicting(node: &Node) -> Vec<Taint> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

impl Reconcile for TaintEvictionController {
    type View = View;

    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.watch::<Pod>(|change| {
            let moved = match (&change.old, &change.new) {
                (Some(old), Some(new)) => old.spec != new.spec,
                _ => true,
            };
            change.latest().filter(|_| moved).map(|pod| Key::of(pod.as_ref())).into_iter().collect()
        });
        let pods = self.pods.clone();
        wiring.watch::<Node>(move |change| {
            let before = change.old.as_ref().map(|node| evicting(node)).unwrap_or_default();
            let after = change.new.as_ref().map(|node| evicting(node)).unwrap_or_default();
            let name =
                change.latest().and_then(|node| node.metadata.name.clone()).filter(|_| before != after);
            let concerned = name.map(|name| pods.by_index(BY_NODE, &name)).unwrap_or_default();
            concerned.iter().map(|pod| Key::of(pod.as_ref())).collect()
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let concerned = |pod: &Arc<Pod>| !pods::is_terminating(pod) && !pods::is_terminal(pod);
        let pod = self.pods.get(key).filter(concerned);
        let node = pod.as_ref().and_then(|pod| self.nodes.get(&Key::cluster(pods::node(pod))));
        let taints = node.map(|node| evicting(&node)).unwrap_or_default();
        match pod.filter(|_| !taints.is_empty()) {
            Some(pod) => Ok(Some(View { since: self.since(key, &pod), pod, taints })),
            None => {
                self.since.lock().remove(key);
                Ok(None)
            }
        }
    }

    fn plan(&self, view: &View, now: Timestamp) -> Plan {
        plan::plan(view, now)
    }
}
