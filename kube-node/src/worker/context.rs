//! What all workers of a node share.

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, Pod, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Api, Client};
use parking_lot::Mutex;

use crate::{
    Clock,
    config::{Capacity, Config},
    events::Recorder,
    objects::Objects,
    pod::{
        fields::FieldContext,
        place::{asks_for_labels, is_wanted},
        resources,
        status::NodeFacts,
    },
    seam::{DnsConfig, Runtime},
    volumes::VolumeManager,
};

/// What the API server last said about a pod.
#[derive(Debug, Clone)]
pub(crate) enum Latest {
    /// The pod as it is.
    Pod(Arc<Pod>),
    /// It was removed, seen at this time.
    Gone(Timestamp),
}

/// Reason, resource, how to read its amounts, and how much there is.
type Check = (&'static str, &'static str, fn(&Quantity) -> i64, i64);

/// Everything that workers need and do not own.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) events: Recorder,
    pub(crate) objects: Objects,
    pub(crate) volumes: VolumeManager,
    pub(crate) facts: NodeFacts,
    /// What the machine has.
    pub(crate) capacity: Capacity,
    /// The node's own resolv.conf.
    pub(crate) host_dns: DnsConfig,
    pub(crate) random: Mutex<fastrand::Rng>,
}

impl Context {
    /// What downward API fields may ask for.
    pub(crate) fn fields(&self, pod_ips: Vec<IpAddr>) -> FieldContext {
        FieldContext {
            node_name: self.config.node_name.clone(),
            node_ips: self.facts.node_ips.clone(),
            pod_ips,
            allocatable: crate::node::allocatable(&self.config, self.capacity),
        }
    }

    /// A number in 0..1.
    pub(crate) fn spread(&self) -> f64 {
        self.random.lock().f64()
    }

    pub(crate) fn log_dir(&self) -> &Path {
        &self.config.log_dir
    }

    /// Why the node is not one that a pod asks for, if so: upstream's reason and message. Labels count as the API server has them now:
    /// they may be younger than what this node was told last.
    pub(crate) async fn misplaced(&self, spec: &PodSpec) -> Option<(&'static str, String)> {
        let name = &self.config.node_name;
        let labels = if asks_for_labels(spec) { self.labels().await } else { BTreeMap::new() };
        let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        (!is_wanted(spec, name, &labels)).then(|| ("NodeAffinity", message.to_owned()))
    }

    /// The labels of the node; if the API server does not say, those that it was registered with.
    async fn labels(&self) -> BTreeMap<String, String> {
        match Api::<Node>::all(self.client.clone()).get_metadata(&self.config.node_name).await {
            Ok(node) => node.metadata.labels.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "cannot read the node's labels");
                crate::node::labels(&self.config)
            }
        }
    }

    /// Why the node cannot take a pod beside those it has, if so: upstream's reason and message.
    pub(crate) fn refusal(&self, pod: &Pod, others: &[Arc<Pod>]) -> Option<(&'static str, String)> {
        let room = crate::node::allocatable_amounts(&self.config, self.capacity);
        let used =
            |name, read: fn(&_) -> i64| others.iter().map(|p| resources::request(p, name, read)).sum::<i64>();
        let checks: [Check; 2] = [
            ("OutOfcpu", "cpu", crate::pod::quantity::millis, room.cpu_millis),
            ("OutOfmemory", "memory", crate::pod::quantity::value, room.memory_bytes),
        ];
        for (reason, name, read, capacity) in checks {
            let (wanted, used) = (resources::request(pod, name, read), used(name, read));
            if wanted > 0 && used + wanted > capacity {
                let text = format!(
                    "Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
                );
                return Some((reason, text));
            }
        }
        let limit = self.config.max_pods as usize;
        (others.len() >= limit).then(|| {
            let text = format!(
                "Node didn't have enough resource: pods, requested: 1, used: {}, capacity: {limit}",
                others.len()
            );
            ("OutOfpods", text)
        })
    }
}
