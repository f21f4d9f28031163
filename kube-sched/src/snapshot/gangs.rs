//! Pods that are to be placed together or not at all, and what the queue's gates may look at.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use k8s_openapi::api::scheduling::v1alpha1::{PodGroupPolicy, Workload};

use super::map::CowMap;
use super::{Devices, Snapshot};
use crate::pod::PodInfo;

/// A group of a workload's pods: `namespace/workload/group/replica`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GangKey(Arc<str>);

impl GangKey {
    /// The group that a pod says it belongs to.
    #[must_use]
    pub fn of(pod: &PodInfo) -> Option<Self> {
        let reference = pod.spec()?.workload_ref.as_ref()?;
        let replica = reference.pod_group_replica_key.as_deref().unwrap_or_default();
        let key = format!("{}/{}/{}/{replica}", pod.namespace(), reference.name, reference.pod_group);
        Some(Self(key.into()))
    }
}

/// Workloads, and the pods of their groups.
#[derive(Clone, Default)]
pub struct Gangs {
    /// By `namespace/name`.
    workloads: CowMap<Arc<str>, Arc<Workload>>,
    /// The keys of each group's pods, placed or waiting.
    members: CowMap<GangKey, Arc<BTreeSet<Arc<str>>>>,
    /// The group of each pod that has one.
    groups: CowMap<Arc<str>, GangKey>,
    /// How many pods have one.
    count: usize,
}

impl fmt::Debug for Gangs {
    /// How many pods are in groups; all of them would be pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gangs").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Gangs {
    /// Adds or replaces the workload `namespace/name`.
    pub fn upsert_workload(&mut self, key: &str, workload: Workload) {
        self.workloads.insert(key.into(), Arc::new(workload));
    }

    /// Removes a workload.
    pub fn remove_workload(&mut self, key: &str) {
        self.workloads.remove(key);
    }

    /// The workload `namespace/name`.
    #[must_use]
    pub fn workload(&self, key: &str) -> Option<&Arc<Workload>> {
        self.workloads.get(key)
    }

    /// How the pods of a workload's group are to be placed.
    #[must_use]
    pub fn policy<'a>(workload: &'a Workload, group: &str) -> Option<&'a PodGroupPolicy> {
        workload.spec.pod_groups.iter().find(|other| other.name == group).map(|group| &group.policy)
    }

    /// Takes a pod in, wherever it is. Returns whether its group did not have it before.
    pub fn join(&mut self, pod: &PodInfo) -> bool {
        let Some(group) = GangKey::of(pod) else { return false };
        if self.groups.get(&*pod.key) == Some(&group) {
            return false;
        }
        self.leave(&pod.key);
        self.count += 1;
        let mut members = self.members.remove(&group).unwrap_or_default();
        Arc::make_mut(&mut members).insert(Arc::clone(&pod.key));
        self.members.insert(group.clone(), members);
        self.groups.insert(Arc::clone(&pod.key), group);
        true
    }

    /// Forgets the pod with this key.
    pub fn leave(&mut self, pod: &str) {
        if self.count == 0 {
            return;
        }
        let Some(group) = self.groups.remove(pod) else { return };
        self.count -= 1;
        let Some(mut members) = self.members.remove(&group) else { return };
        Arc::make_mut(&mut members).remove(pod);
        if !members.is_empty() {
            self.members.insert(group, members);
        }
    }

    /// Whether the pod with this key is in a group.
    #[must_use]
    pub fn has(&self, pod: &str) -> bool {
        self.count > 0 && self.groups.get(pod).is_some()
    }

    /// The keys of a group's pods.
    pub fn members(&self, group: &GangKey) -> impl Iterator<Item = &Arc<str>> {
        self.members.get(group).into_iter().flat_map(|members| members.iter())
    }
}

/// What the gates in front of the queue may look at.
#[derive(Debug, Clone)]
pub struct GateView {
    devices: Arc<Devices>,
    gangs: Arc<Gangs>,
}

impl Default for GateView {
    /// Nothing is there; costs nothing.
    fn default() -> Self {
        static EMPTY: LazyLock<GateView> =
            LazyLock::new(|| GateView { devices: Arc::default(), gangs: Arc::default() });
        EMPTY.clone()
    }
}

impl GateView {
    /// Devices and the claims for them.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Workloads and their pods.
    #[must_use]
    pub fn gangs(&self) -> &Gangs {
        &self.gangs
    }
}

impl Snapshot {
    /// Workloads and their pods.
    #[must_use]
    pub fn gangs(&self) -> &Gangs {
        &self.gangs
    }

    /// Workloads and their pods, to change them. Forks keep what they have seen.
    pub fn gangs_mut(&mut self) -> &mut Gangs {
        Arc::make_mut(&mut self.gangs)
    }

    /// What gates may look at, as it is now; O(1).
    #[must_use]
    pub fn gate_view(&self) -> GateView {
        GateView { devices: Arc::clone(&self.devices), gangs: Arc::clone(&self.gangs) }
    }
}
