//! All devices of a cluster, indexed for decisions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};

use super::plan::Pending;
use super::{
    DeviceId, DevicePlan, Pool, PoolId, Reachable, Slice, allocated_devices, allocation, claim_key,
    devices_of,
};
use crate::snapshot::map::CowMap;

/// How many claims have each device of a pool, by name. Usually one each, but who writes claims is not controlled.
type Holders = BTreeMap<Arc<str>, u32>;
/// How many slices of each pool there are.
type SliceCounts = BTreeMap<PoolId, usize>;

/// Devices, claims and classes. A snapshot without any decides as if there were no devices.
#[derive(Clone, Default)]
pub struct Devices {
    claims: CowMap<Arc<str>, Arc<ResourceClaim>>,
    classes: CowMap<Arc<str>, Arc<DeviceClass>>,
    pools: CowMap<PoolId, Arc<Pool>>,
    /// The pool of each slice.
    slices: CowMap<Arc<str>, PoolId>,
    /// The pools with slices for a single node, by the node.
    local: CowMap<Arc<str>, Arc<SliceCounts>>,
    /// The pools with slices that more than one node may reach.
    shared: Arc<SliceCounts>,
    taken: CowMap<PoolId, Arc<Holders>>,
    /// By the claim's key.
    pending: CowMap<Arc<str>, Pending>,
    /// By the pod's key.
    plans: CowMap<Arc<str>, Arc<DevicePlan>>,
    counts: Counts,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    claims: usize,
    slices: usize,
    pending: usize,
}

impl fmt::Debug for Devices {
    /// How much there is; all of it would be megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Devices").field(&self.counts).finish()
    }
}

/// What a change of a claim means for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClaimChange {
    /// There was no claim of this name.
    pub(crate) created: bool,
    /// It gave devices back.
    pub(crate) deallocated: bool,
    /// Its status is another one.
    pub(crate) status: bool,
}

impl Devices {
    /// Adds or replaces a claim.
    pub fn upsert_claim(&mut self, claim: ResourceClaim) {
        self.take_in_claim(claim);
    }

    pub(crate) fn take_in_claim(&mut self, claim: ResourceClaim) -> ClaimChange {
        let key = claim_key(&claim);
        if self.pending.get(&*key).is_some_and(|pending| pending.is_settled_by(&claim)) {
            self.settle(&key);
        }
        let claim = Arc::new(claim);
        let old = self.claims.insert(Arc::clone(&key), Arc::clone(&claim));
        self.hold(allocated_devices(&claim), 1);
        let Some(old) = old else {
            self.counts.claims += 1;
            return ClaimChange { created: true, ..ClaimChange::default() };
        };
        self.hold(allocated_devices(&old), -1);
        ClaimChange {
            created: false,
            deallocated: allocation(&old).is_some() && allocation(&claim).is_none(),
            status: old.status != claim.status,
        }
    }

    /// Removes the claim `namespace/name`.
    pub fn remove_claim(&mut self, key: &str) {
        self.settle(key);
        if let Some(claim) = self.claims.remove(key) {
            self.counts.claims -= 1;
            self.hold(allocated_devices(&claim), -1);
        }
    }

    /// Adds or replaces a class.
    pub fn upsert_class(&mut self, class: DeviceClass) {
        self.classes.insert(class.metadata.name.as_deref().unwrap_or_default().into(), Arc::new(class));
    }

    /// Removes a class.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// Adds or replaces a slice of a pool.
    pub fn upsert_slice(&mut self, slice: &ResourceSlice) {
        let slice = Arc::new(Slice::parse(slice));
        self.remove_slice(&slice.name.clone());
        let mut pool = self.pools.remove(&slice.pool).unwrap_or_default();
        Arc::make_mut(&mut pool).insert(Arc::clone(&slice));
        self.pools.insert(slice.pool.clone(), pool);
        self.slices.insert(Arc::clone(&slice.name), slice.pool.clone());
        self.counts.slices += 1;
        self.index(&slice, 1);
    }

    /// Removes a slice.
    pub fn remove_slice(&mut self, name: &str) {
        let Some(id) = self.slices.remove(name) else { return };
        let Some(mut pool) = self.pools.remove(&id) else { return };
        if let Some(slice) = Arc::make_mut(&mut pool).remove(name) {
            self.counts.slices -= 1;
            self.index(&slice, -1);
        }
        if !pool.is_empty() {
            self.pools.insert(id, pool);
        }
    }

    fn index(&mut self, slice: &Slice, change: isize) {
        let count = |pools: &mut SliceCounts| {
            let slices = pools.entry(slice.pool.clone()).or_default();
            *slices = slices.saturating_add_signed(change);
            if *slices == 0 {
                pools.remove(&slice.pool);
            }
        };
        let Reachable::Node(node) = &slice.reachable else { return count(Arc::make_mut(&mut self.shared)) };
        let mut pools = self.local.remove(node).unwrap_or_default();
        count(Arc::make_mut(&mut pools));
        if !pools.is_empty() {
            self.local.insert(Arc::clone(node), pools);
        }
    }

    /// The claim `namespace/name`.
    #[must_use]
    pub fn claim(&self, key: &str) -> Option<&Arc<ResourceClaim>> {
        self.claims.get(key)
    }

    /// A class by its name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Arc<DeviceClass>> {
        self.classes.get(name)
    }

    /// The pools that may have devices for a node: first those with devices of its own, then the others, each in the order of their names.
    pub fn pools_for(&self, node: &str) -> impl Iterator<Item = (&PoolId, &Arc<Pool>)> {
        let local = self.local.get(node).map(|pools| &**pools);
        let shared = self.shared.keys().filter(move |id| local.is_none_or(|pools| !pools.contains_key(*id)));
        let ids = local.into_iter().flat_map(|pools| pools.keys()).chain(shared);
        ids.filter_map(|id| Some((id, self.pools.get(id)?)))
    }

    /// The devices of a pool that claims have or are about to get, each with the number of its claims.
    pub fn taken_of(&self, pool: &PoolId) -> Option<&BTreeMap<Arc<str>, u32>> {
        self.taken.get(pool).map(|holders| &**holders)
    }

    /// Whether devices were chosen for the claim `namespace/name` that its status does not say yet.
    #[must_use]
    pub fn is_pending(&self, claim: &str) -> bool {
        self.counts.pending > 0 && self.pending.get(claim).is_some()
    }

    /// What is planned for the pod with this key.
    #[must_use]
    pub fn plan(&self, pod: &str) -> Option<&Arc<DevicePlan>> {
        self.plans.get(pod)
    }

    /// Plans for the pod with this key: its devices are taken from now on.
    pub fn set_plan(&mut self, pod: &Arc<str>, plan: DevicePlan) {
        self.drop_plan(pod);
        for planned in &plan.claims {
            let Some(allocation) = &planned.allocation else { continue };
            let key = claim_key(&planned.claim);
            self.settle(&key);
            let devices = devices_of(allocation);
            self.hold(devices.iter().cloned(), 1);
            self.pending.insert(key, Pending::new(pod, planned, devices));
            self.counts.pending += 1;
        }
        self.plans.insert(Arc::clone(pod), Arc::new(plan));
    }

    /// Forgets a plan, whether or not it was carried out. Devices stay taken whose allocation has been written and not been seen yet.
    pub fn drop_plan(&mut self, pod: &str) {
        let Some(plan) = self.plans.remove(pod) else { return };
        for planned in &plan.claims {
            let key = claim_key(&planned.claim);
            let ours = |pending: &Pending| *pending.pod == *pod && !pending.is_written();
            if self.pending.get(&*key).is_some_and(ours) {
                self.settle(&key);
            }
        }
    }

    /// The claim's allocation is not pending any more.
    fn settle(&mut self, claim: &str) {
        if self.counts.pending == 0 {
            return;
        }
        if let Some(pending) = self.pending.remove(claim) {
            self.counts.pending -= 1;
            self.hold(pending.devices.into_iter(), -1);
        }
    }

    fn hold(&mut self, devices: impl Iterator<Item = DeviceId>, change: i32) {
        for device in devices {
            let mut holders = self.taken.remove(&device.pool).unwrap_or_default();
            let all = Arc::make_mut(&mut holders);
            let number = all.entry(Arc::clone(&device.name)).or_default();
            *number = number.saturating_add_signed(change);
            if *number == 0 {
                all.remove(&device.name);
            }
            if !holders.is_empty() {
                self.taken.insert(device.pool, holders);
            }
        }
    }
}
