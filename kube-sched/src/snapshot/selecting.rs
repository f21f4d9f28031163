//! Services and workloads: their selectors say which pods are spread by default.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::Snapshot;
use super::map::CowMap;
use crate::pod::PodInfo;
use crate::terms::{HOSTNAME, Inclusion, LabelQuery, SpreadConstraint, TallyKey, ZONE, spread_query};

/// A kind of object that selects pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelectingKind {
    /// A service; concerns every pod it selects.
    Service,
    /// A replication controller; concerns the pods it controls, as all further kinds.
    ReplicationController,
    /// A replica set.
    ReplicaSet,
    /// A stateful set.
    StatefulSet,
}

impl SelectingKind {
    fn of_controller(kind: &str) -> Option<Self> {
        Some(match kind {
            "ReplicationController" => Self::ReplicationController,
            "ReplicaSet" => Self::ReplicaSet,
            "StatefulSet" => Self::StatefulSet,
            _ => return None,
        })
    }
}

/// What selects pods.
#[derive(Debug, Clone, Default)]
pub(super) struct Selecting {
    services: CowMap<Arc<str>, Arc<BTreeMap<Arc<str>, LabelQuery>>>,
    controllers: CowMap<(SelectingKind, Arc<str>), LabelQuery>,
    /// How many there are.
    count: usize,
}

impl Snapshot {
    /// Takes in the selector of a service or workload. Pods that neither has any constraint of their own are spread by it.
    ///
    /// A service's selector is written as `matchLabels`.
    pub fn upsert_selecting(
        &mut self,
        kind: SelectingKind,
        namespace: &str,
        name: &str,
        selector: Option<&LabelSelector>,
    ) {
        self.remove_selecting(kind, namespace, name);
        let Some(query) = LabelQuery::parse(selector).filter(|query| !query.is_empty()) else { return };
        self.selecting.count += 1;
        if kind == SelectingKind::Service {
            let mut services = self.selecting.services.remove(namespace).unwrap_or_default();
            Arc::make_mut(&mut services).insert(name.into(), query);
            self.selecting.services.insert(namespace.into(), services);
        } else {
            self.selecting.controllers.insert((kind, format!("{namespace}/{name}").into()), query);
        }
    }

    /// Forgets a service or workload.
    pub fn remove_selecting(&mut self, kind: SelectingKind, namespace: &str, name: &str) {
        let removed = if kind == SelectingKind::Service {
            let Some(mut services) = self.selecting.services.remove(namespace) else { return };
            let removed = Arc::make_mut(&mut services).remove(name).is_some();
            if !services.is_empty() {
                self.selecting.services.insert(namespace.into(), services);
            }
            removed
        } else {
            self.selecting.controllers.remove(&(kind, format!("{namespace}/{name}").into())).is_some()
        };
        self.selecting.count -= usize::from(removed);
    }

    /// What the services that select `pod` and its controller demand, all together.
    pub(crate) fn default_query(&self, pod: &PodInfo) -> Option<LabelQuery> {
        if self.selecting.count == 0 {
            return None;
        }
        let services = self.selecting.services.get(pod.namespace());
        let selecting = services.iter().flat_map(|services| services.values());
        let selecting = selecting.filter(|query| query.matches(pod.labels()));
        let owners = pod.template.metadata.owner_references.iter().flatten();
        let controller = owners.into_iter().find(|owner| owner.controller == Some(true)).and_then(|owner| {
            let kind = SelectingKind::of_controller(&owner.kind)?;
            let key = format!("{}/{}", pod.namespace(), owner.name).into();
            self.selecting.controllers.get(&(kind, key))
        });
        let query = selecting.chain(controller).fold(LabelQuery::default(), LabelQuery::and);
        (!query.is_empty()).then_some(query)
    }

    /// The system's default constraints: pods of one selector are to be spread over hosts and zones.
    pub(crate) fn default_constraints(&self, pod: &PodInfo) -> Vec<SpreadConstraint> {
        let Some(query) = self.default_query(pod) else { return Vec::new() };
        let itself = query.matches(pod.labels());
        let query = spread_query(pod.namespace(), Some(query));
        let constraint = |(topology, max_skew): (&str, i64)| SpreadConstraint {
            query: Arc::clone(&query),
            itself,
            topology: topology.into(),
            max_skew,
            hard: false,
            min_domains: 1,
            node_affinity: Inclusion::Honor,
            node_taints: Inclusion::Ignore,
        };
        [(HOSTNAME, 3), (ZONE, 5)].map(constraint).into()
    }

    /// What is counted for a pod that is spread by default.
    pub(super) fn default_tallies(&self, pod: &PodInfo) -> Vec<TallyKey> {
        if self.selecting.count == 0 || pod.terms().is_some_and(|terms| !terms.spread.is_empty()) {
            return Vec::new();
        }
        self.default_constraints(pod).iter().flat_map(SpreadConstraint::tallies).collect()
    }
}
