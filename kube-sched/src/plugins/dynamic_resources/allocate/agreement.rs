//! The search and the reference find devices for the same claims.

use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};
use proptest::prelude::*;
use serde_json::{from_value, json};

use super::reference::{ClaimShape, DeviceShape, Problem, Solution, Wanted, Wish};
use super::tests::{DRIVER, allocate, claim, devices, results, slice};
use super::{DeviceFeatures, Failure};
use crate::snapshot::Devices;

impl Problem {
    fn devices(&self) -> Devices {
        let shape = |(number, device): (usize, &DeviceShape)| {
            let consumes =
                json!([{"counterSet": "set", "counters": {"c": {"value": device.consumes.to_string()}}}]);
            let mut attributes = json!({"model": {"string": device.model}});
            if let Some(numa) = device.numa {
                attributes["numa"] = json!({"int": numa});
            }
            json!({"name": format!("d{number}"), "attributes": attributes,
                "taints": if device.tainted { json!([{"key": "t", "effect": "NoSchedule"}]) } else { json!([]) },
                "consumesCounters": if self.counter.is_some() && device.consumes > 0 { consumes } else { json!([]) }})
        };
        let list: Vec<_> = self.devices.iter().enumerate().map(shape).collect();
        let counters = json!([{"name": "set", "counters": {"c": {"value": self.counter.unwrap_or_default().to_string()}}}]);
        let mut devices = devices(&[slice("s", json!({"devices": list, "sharedCounters": counters}))]);
        let taken = self.devices.iter().enumerate().filter(|(_, device)| device.taken);
        let results: Vec<_> = taken
            .map(|(n, _)| json!({"request": "r", "driver": DRIVER, "pool": "n", "device": format!("d{n}")}))
            .collect();
        let holder = json!({"metadata": {"name": "holder", "namespace": "ns"}, "spec": {}, "status": {"allocation": {"devices": {"results": results}}}});
        devices.upsert_claim(from_value(holder).unwrap());
        devices
    }

    fn claims(&self) -> Vec<ResourceClaim> {
        let wish = |wish: &Wish| {
            let selector = match wish.wanted {
                Wanted::Any => json!([]),
                Wanted::Model => {
                    json!([{"cel": {"expression": format!("device.attributes['{DRIVER}'].model == 'a'")}}])
                }
                Wanted::Numa => {
                    json!([{"cel": {"expression": format!("device.attributes['{DRIVER}'].?numa.orValue(9) == 0")}}])
                }
            };
            let tolerations = if wish.tolerates { json!([{"operator": "Exists"}]) } else { json!([]) };
            let mut json =
                json!({"deviceClassName": "gpu", "selectors": selector, "tolerations": tolerations});
            if wish.count == 0 {
                json["allocationMode"] = "All".into();
            } else {
                json["count"] = wish.count.into();
            }
            json
        };
        let request = |(number, wishes): (usize, &Vec<Wish>)| match wishes.as_slice() {
            [single] => {
                let mut exactly = wish(single);
                exactly["adminAccess"] = single.admin.into();
                json!({"name": format!("r{number}"), "exactly": exactly})
            }
            several => {
                let named = |(place, each): (usize, &Wish)| {
                    let mut sub = wish(each);
                    sub["name"] = format!("s{place}").into();
                    sub
                };
                json!({"name": format!("r{number}"), "firstAvailable": several.iter().enumerate().map(named).collect::<Vec<_>>()})
            }
        };
        let shape = |(number, shape): (usize, &ClaimShape)| {
            let requests: Vec<_> = shape.requests.iter().enumerate().map(request).collect();
            let names = |all: &Vec<usize>| all.iter().map(|n| format!("r{n}")).collect::<Vec<_>>();
            let constraints: Vec<_> = shape
                .aligned
                .iter()
                .map(|all| json!({"matchAttribute": format!("{DRIVER}/numa"), "requests": names(all)}))
                .collect();
            claim(&format!("c{number}"), json!({"requests": requests, "constraints": constraints}))
        };
        self.claims.iter().enumerate().map(shape).collect()
    }

    /// Reads allocations back.
    fn solution(&self, allocations: &[AllocationResult]) -> Solution {
        let number = |text: &str| text[1..].parse::<usize>().unwrap();
        let per_claim = |(shape, allocation): (&ClaimShape, &AllocationResult)| {
            let mut requests = vec![(0, Vec::new()); shape.requests.len()];
            for result in results(allocation) {
                let (request, sub) = result.request.split_once('/').unwrap_or((&result.request, "s0"));
                let request = &mut requests[number(request)];
                request.0 = number(sub);
                request.1.push(number(&result.device));
            }
            requests
        };
        self.claims.iter().zip(allocations).map(per_claim).collect()
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    let wanted = prop_oneof![2 => Just(Wanted::Any), 1 => Just(Wanted::Model), 1 => Just(Wanted::Numa)];
    (0..4_usize, wanted, any::<bool>()).prop_map(|(count, wanted, tolerates)| Wish {
        count,
        wanted,
        admin: false,
        tolerates,
    })
}

fn alternatives() -> impl Strategy<Value = Vec<Wish>> {
    let single = (wish(), prop::bool::weighted(0.2)).prop_map(|(wish, admin)| vec![Wish { admin, ..wish }]);
    prop_oneof![3 => single, 1 => proptest::collection::vec(wish(), 2..3)]
}

fn claim_shape(requests: usize) -> impl Strategy<Value = ClaimShape> {
    let aligned = prop_oneof![2 => Just(None), 2 => Just(Some(vec![])), 1 => Just(Some(vec![0]))];
    (proptest::collection::vec(alternatives(), 1..=requests), aligned)
        .prop_map(|(requests, aligned)| ClaimShape { requests, aligned })
}

fn problem() -> impl Strategy<Value = Problem> {
    let device = (
        prop_oneof![Just("a"), Just("b")],
        proptest::option::weighted(0.8, 0..2_i64),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        0..3_i64,
    );
    let device = device.prop_map(|(model, numa, taken, tainted, consumes)| DeviceShape {
        model,
        numa,
        taken,
        tainted,
        consumes,
    });
    let claims = prop_oneof![
        claim_shape(3).prop_map(|claim| vec![claim]),
        (claim_shape(2), claim_shape(1)).prop_map(|(a, b)| vec![a, b]),
    ];
    (proptest::collection::vec(device, 0..=4), claims, proptest::option::of(0..6_i64), any::<bool>())
        .prop_map(|(devices, claims, counter, taints_count)| Problem {
            devices,
            claims,
            counter,
            taints_count,
        })
}

proptest! {
    #[test]
    fn devices_are_found_if_and_only_if_there_are_some(problem in problem()) {
        let features = DeviceFeatures { device_taints: problem.taints_count, partitionable_devices: true };
        let found = match allocate(&problem.devices(), &problem.claims(), features) {
            // As in upstream this ends the search, though it might go on without some device that was taken before.
            Err(Failure::Fatal(reason)) => {
                prop_assert!(reason.ends_with("because a claim constraint would not be satisfied"), "{}", reason);
                return Ok(());
            }
            found => found.unwrap(),
        };
        prop_assert_eq!(found.is_some(), problem.is_solvable());
        if let Some(allocations) = found {
            let solution = problem.solution(&allocations);
            prop_assert!(problem.accepts(&solution), "{:?}", solution);
        }
    }
}
