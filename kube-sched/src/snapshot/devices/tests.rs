use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{from_value, json};

use super::*;

/// What a decision can see: claims, pools by node, and what is taken.
type Facts =
    (BTreeSet<String>, BTreeMap<String, String>, BTreeMap<String, Vec<Arc<str>>>, BTreeMap<String, u32>);

const NODES: u8 = 3;
const POOLS: u8 = 3;

fn facts(snapshot: &Snapshot) -> Facts {
    let devices = snapshot.devices();
    let claims = (0..6).map(|n| format!("ns/c{n}")).filter(|key| devices.claim(key).is_some()).collect();
    let mut pools = BTreeMap::new();
    let mut reached = BTreeMap::new();
    for node in (0..NODES).map(|n| format!("n{n}")) {
        let mut names: Vec<_> = devices.pools_for(&node).map(|(id, _)| Arc::clone(&id.name)).collect();
        names.sort();
        for (id, pool) in devices.pools_for(&node) {
            let slices: Vec<_> = pool.slices().map(|slice| (**slice).clone()).collect();
            let text = format!("{} {:?} {:?} {slices:?}", pool.is_complete(), pool.fault(), pool.counters());
            pools.insert(id.to_string(), text);
        }
        reached.insert(node, names);
    }
    let pool = |number: u8| PoolId { driver: "d".into(), name: format!("p{number}").into() };
    let taken = (0..POOLS).flat_map(|number| {
        let holders = devices.taken_of(&pool(number)).cloned().unwrap_or_default();
        holders.into_iter().map(move |(device, count)| (format!("p{number}/{device}"), count))
    });
    (claims, pools, reached, taken.collect())
}

fn claim(number: u8, device: Option<(u8, u8, bool)>, version: u64) -> ResourceClaim {
    let result = device.map(|(pool, device, admin)| json!({"request": "r", "driver": "d", "pool": format!("p{pool}"), "device": format!("d{device}"), "adminAccess": admin}));
    let status = result.map_or(json!({}), |result| json!({"allocation": {"devices": {"results": [result]}}}));
    let metadata = json!({"name": format!("c{number}"), "namespace": "ns", "uid": format!("c{number}"), "resourceVersion": version.to_string()});
    from_value(json!({"metadata": metadata, "spec": {}, "status": status})).unwrap()
}

fn slice(
    name: u8,
    pool: u8,
    generation: i64,
    node: Option<u8>,
    device: u8,
) -> k8s_openapi::api::resource::v1::ResourceSlice {
    let reach = node.map_or(json!(null), |node| json!(format!("n{node}")));
    let counters = json!([{"name": format!("s{name}"), "counters": {"c": {"value": "1"}}}]);
    from_value(json!({"metadata": {"name": format!("s{name}")}, "spec": {"driver": "d", "nodeName": reach, "allNodes": node.is_none(), "sharedCounters": counters,
        "pool": {"name": format!("p{pool}"), "generation": generation, "resourceSliceCount": 2}, "devices": [{"name": format!("d{device}")}]}}))
    .unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Claim(u8, Option<(u8, u8, bool)>),
    ClaimGone(u8),
    Slice(u8, u8, i64, Option<u8>, u8),
    SliceGone(u8),
    /// A pod's plan: devices for a claim.
    Plan(u8, u8, (u8, u8)),
    /// The API server has taken in the allocations of a pod's plan.
    Write(u8),
    Drop(u8),
    Fork,
}

fn step() -> impl Strategy<Value = Step> {
    let device = || (0..POOLS, 0..4_u8, prop::bool::weighted(0.2));
    prop_oneof![
        (0..6_u8, proptest::option::of(device())).prop_map(|(n, d)| Step::Claim(n, d)),
        (0..6_u8).prop_map(Step::ClaimGone),
        (0..6_u8, 0..POOLS, 0..3_i64, proptest::option::of(0..NODES), 0..4_u8)
            .prop_map(|(n, p, g, node, d)| Step::Slice(n, p, g, node, d)),
        (0..6_u8).prop_map(Step::SliceGone),
        (0..3_u8, 0..6_u8, (0..POOLS, 0..4_u8)).prop_map(|(p, c, d)| Step::Plan(p, c, d)),
        (0..3_u8).prop_map(Step::Write),
        (0..3_u8).prop_map(Step::Drop),
        Just(Step::Fork),
    ]
}

/// The plainest model: what exists, and who plans what.
#[derive(Default)]
struct Model {
    claims: BTreeMap<u8, Option<(u8, u8, bool)>>,
    slices: BTreeMap<u8, (u8, i64, Option<u8>, u8)>,
    /// By claim: the pod, the devices and whether they are written.
    pending: BTreeMap<u8, (u8, (u8, u8), bool)>,
    /// By pod: the claim.
    plans: BTreeMap<u8, u8>,
}

impl Model {
    fn drop_plan(&mut self, pod: u8) {
        if let Some(claim) = self.plans.remove(&pod)
            && self.pending.get(&claim).is_some_and(|(owner, _, written)| *owner == pod && !written)
        {
            self.pending.remove(&claim);
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Claim(n, device) => {
                // Versions are not newer than what was written, so that only an allocation settles it.
                if device.is_some() {
                    self.pending.remove(&n);
                }
                self.claims.insert(n, device);
            }
            Step::ClaimGone(n) => {
                self.claims.remove(&n);
                self.pending.remove(&n);
            }
            Step::Slice(n, p, g, node, d) => drop(self.slices.insert(n, (p, g, node, d))),
            Step::SliceGone(n) => drop(self.slices.remove(&n)),
            Step::Plan(p, c, d) => {
                self.drop_plan(p);
                self.pending.insert(c, (p, d, false));
                self.plans.insert(p, c);
            }
            Step::Write(p) => {
                let claim = self.plans.get(&p);
                if let Some(pending) =
                    claim.and_then(|claim| self.pending.get_mut(claim)).filter(|(owner, ..)| *owner == p)
                {
                    pending.2 = true;
                }
            }
            Step::Drop(p) => self.drop_plan(p),
            Step::Fork => {}
        }
    }

    fn rebuild(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        let devices = snapshot.devices_mut();
        self.slices
            .iter()
            .for_each(|(n, (p, g, node, d))| devices.upsert_slice(&slice(*n, *p, *g, *node, *d)));
        self.claims.iter().for_each(|(n, device)| devices.upsert_claim(claim(*n, *device, 1)));
        for (number, (claim, (_, device, _))) in (100..).zip(&self.pending) {
            devices.set_plan(&format!("ns/p{number}").into(), plan(*claim, *device));
        }
        snapshot
    }
}

fn plan(number: u8, (pool, device): (u8, u8)) -> DevicePlan {
    let allocated = claim(number, Some((pool, device, false)), 1);
    let claim = Arc::new(claim(number, None, 1));
    let planned =
        PlannedClaim { claim, allocation: allocation(&allocated).cloned(), written: Arc::default() };
    DevicePlan { claims: vec![planned] }
}

fn apply(snapshot: &mut Snapshot, step: &Step) {
    let pod = |number: u8| -> Arc<str> { format!("ns/p{number}").into() };
    let devices = snapshot.devices_mut();
    match *step {
        Step::Claim(n, device) => devices.upsert_claim(claim(n, device, 1)),
        Step::ClaimGone(n) => devices.remove_claim(&format!("ns/c{n}")),
        Step::Slice(n, p, g, node, d) => devices.upsert_slice(&slice(n, p, g, node, d)),
        Step::SliceGone(n) => devices.remove_slice(&format!("s{n}")),
        Step::Plan(p, c, d) => devices.set_plan(&pod(p), plan(c, d)),
        Step::Write(p) => {
            let plan = devices.plan(&pod(p)).cloned();
            plan.iter()
                .flat_map(|plan| &plan.claims)
                .for_each(|planned| _ = planned.written.set("9".to_owned()));
        }
        Step::Drop(p) => devices.drop_plan(&pod(p)),
        Step::Fork => {}
    }
}

proptest! {
    #[test]
    fn an_incremental_index_equals_one_rebuilt(steps in proptest::collection::vec(step(), 0..60)) {
        let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
        let mut forks = Vec::new();
        for step in &steps {
            if matches!(step, Step::Fork) {
                forks.push((snapshot.fork(), facts(&snapshot)));
            }
            apply(&mut snapshot, step);
            model.apply(step);
            prop_assert_eq!(facts(&snapshot), facts(&model.rebuild()), "after {:?}", step);
        }
        for (fork, then) in forks {
            prop_assert_eq!(facts(&fork), then, "a later write reached a fork");
        }
    }
}

#[test]
fn an_allocation_is_pending_until_the_api_server_says_more_than_was_written() {
    let taken =
        |devices: &Devices| devices.taken_of(&PoolId { driver: "d".into(), name: "p0".into() }).is_some();
    let pod: Arc<str> = "ns/p".into();
    let begin = || {
        let mut devices = Devices::default();
        devices.upsert_claim(claim(0, None, 1));
        devices.set_plan(&pod, plan(0, (0, 0)));
        assert!(devices.is_pending("ns/c0") && taken(&devices));
        devices
    };
    let write =
        |devices: &Devices| devices.plan(&pod).unwrap().claims[0].written.set("5".to_owned()).unwrap();
    // Not written: the pod gives up and the device is free.
    let mut devices = begin();
    devices.drop_plan(&pod);
    assert!(!devices.is_pending("ns/c0") && !taken(&devices));
    // Written: an echo of an older state changes nothing, the allocation itself or its end does.
    for (version, device, pending, held) in
        [(4, None, true, true), (5, Some((0, 0, false)), false, true), (6, None, false, false)]
    {
        let mut devices = begin();
        write(&devices);
        devices.drop_plan(&pod);
        devices.upsert_claim(claim(0, device, version));
        assert_eq!((devices.is_pending("ns/c0"), taken(&devices)), (pending, held), "version {version}");
    }
    // Another claim of the same name.
    let mut devices = begin();
    write(&devices);
    let mut other = claim(0, None, 4);
    other.metadata.uid = Some("other".to_owned());
    devices.upsert_claim(other);
    assert!(!devices.is_pending("ns/c0") && !taken(&devices));
}

#[test]
fn changes_of_claims_are_told_apart() {
    let mut devices = Devices::default();
    let taken = Some((0, 0, false));
    let told = |created, deallocated, status| ClaimChange { created, deallocated, status };
    let steps = [
        (None, told(true, false, false)),
        (taken, told(false, false, true)),
        (taken, told(false, false, false)),
        (None, told(false, true, true)),
    ];
    for (device, expected) in steps {
        assert_eq!(devices.take_in_claim(claim(0, device, 1)), expected);
    }
}
