use std::sync::Arc;

use k8s_openapi::api::resource::v1::{AllocationResult, DeviceRequestAllocationResult};
use serde_json::{Value, from_value, json};

use super::super::selector::BuiltinSelectors;
use super::*;

pub(super) const DRIVER: &str = "gpu.example.com";
const ALL: DeviceFeatures = DeviceFeatures { device_taints: true, partitionable_devices: true };

pub(super) fn slice(name: &str, spec: Value) -> Value {
    let mut slice = json!({"metadata": {"name": name}, "spec": {"driver": DRIVER, "nodeName": "n",
        "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1}}});
    for (field, value) in spec.as_object().unwrap() {
        slice["spec"][field] = value.clone();
    }
    slice
}

fn device(name: &str, attributes: Value) -> Value {
    json!({"name": name, "attributes": attributes})
}

pub(super) fn claim(name: &str, devices: Value) -> ResourceClaim {
    from_value(
        json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {"devices": devices}}),
    )
    .unwrap()
}

fn request(name: &str, extra: Value) -> Value {
    let mut exactly = json!({"deviceClassName": "gpu"});
    for (field, value) in extra.as_object().unwrap() {
        exactly[field] = value.clone();
    }
    json!({"name": name, "exactly": exactly})
}

fn node(name: &str) -> NodeInfo {
    let node = json!({"metadata": {"name": name, "labels": {"rack": "r1", "kubernetes.io/hostname": name}}});
    NodeInfo::parse(&from_value(node).unwrap()).unwrap()
}

/// A class for all devices and these slices.
pub(super) fn devices(slices: &[Value]) -> Devices {
    let mut devices = Devices::default();
    let config = json!([{"opaque": {"driver": DRIVER, "parameters": {"from": "class"}}}]);
    devices
        .upsert_class(from_value(json!({"metadata": {"name": "gpu"}, "spec": {"config": config}})).unwrap());
    for slice in slices {
        devices.upsert_slice(&from_value(slice.clone()).unwrap());
    }
    devices
}

fn four() -> Value {
    let numbered = |number: i64| {
        device(
            &format!("d{number}"),
            json!({"numa": {"int": number / 2}, "model": {"string": if number == 3 { "b" } else { "a" }}}),
        )
    };
    slice("s", json!({"devices": [numbered(0), numbered(1), numbered(2), numbered(3)]}))
}

pub(super) fn allocate(
    devices: &Devices,
    claims: &[ResourceClaim],
    features: DeviceFeatures,
) -> Result<Option<Vec<AllocationResult>>, Failure> {
    let selectors = Selectors::new(Arc::new(BuiltinSelectors));
    Allocator::new(devices, claims, &selectors, features, 1_000_000)?.allocate(&node("n"))
}

pub(super) fn results(allocation: &AllocationResult) -> &[DeviceRequestAllocationResult] {
    allocation.devices.as_ref().unwrap().results.as_deref().unwrap_or_default()
}

/// `claim: request=device ...` for each claim, or why not.
fn found(devices: &Devices, claims: &[ResourceClaim]) -> String {
    found_with(devices, claims, DeviceFeatures::default())
}

fn found_with(devices: &Devices, claims: &[ResourceClaim], features: DeviceFeatures) -> String {
    match allocate(devices, claims, features) {
        Err(Failure::Fatal(reason)) => format!("fatal: {reason}"),
        Err(Failure::OnNode(reason)) => format!("on node: {reason}"),
        Err(Failure::Exhausted) => "exhausted".to_owned(),
        Ok(None) => "none".to_owned(),
        Ok(Some(allocations)) => {
            let text = |allocation: &AllocationResult| {
                let devices =
                    results(allocation).iter().map(|result| format!("{}={}", result.request, result.device));
                devices.collect::<Vec<_>>().join(" ")
            };
            allocations.iter().map(text).collect::<Vec<_>>().join("; ")
        }
    }
}

fn one(devices: Value) -> Vec<ResourceClaim> {
    vec![claim("c", devices)]
}

fn cel(expression: &str) -> Value {
    json!({"selectors": [{"cel": {"expression": expression}}]})
}

#[test]
fn requests_get_the_first_devices_that_suit() {
    let devices = devices(&[four()]);
    let model_b = format!(r#"device.attributes["{DRIVER}"].model == "b""#);
    let numa = json!([{"matchAttribute": format!("{DRIVER}/numa")}]);
    for (wanted, expected) in [
        (json!({"requests": [request("r", json!({}))]}), "r=d0"),
        (json!({"requests": [request("r", json!({"count": 3}))]}), "r=d0 r=d1 r=d2"),
        (json!({"requests": [request("r", json!({"count": 5}))]}), "none"),
        (json!({"requests": [request("r", json!({"allocationMode": "All"}))]}), "r=d0 r=d1 r=d2 r=d3"),
        (json!({"requests": [request("r", cel(&model_b))]}), "r=d3"),
        (json!({"requests": [request("a", json!({})), request("b", cel(&model_b))]}), "a=d0 b=d3"),
        (
            json!({"requests": [request("a", json!({})), request("b", cel(&model_b))], "constraints": numa}),
            "a=d2 b=d3",
        ),
        (json!({"requests": [request("r", json!({"count": 2}))], "constraints": numa}), "r=d0 r=d1"),
        (json!({"requests": [request("r", json!({"count": 3}))], "constraints": numa}), "none"),
        (
            json!({"requests": [request("a", json!({})), request("b", json!({"count": 3}))],
            "constraints": [{"matchAttribute": format!("{DRIVER}/numa"), "requests": ["a"]}]}),
            "a=d0 b=d1 b=d2 b=d3",
        ),
        (
            json!({"requests": [request("r", json!({}))], "constraints": [{"matchAttribute": "nobody.com/numa"}]}),
            "none",
        ),
    ] {
        assert_eq!(found(&devices, &one(wanted.clone())), expected, "{wanted}");
    }
    let two = [
        claim("c1", json!({"requests": [request("r", json!({"count": 2}))]})),
        claim("c2", json!({"requests": [request("r", json!({}))]})),
    ];
    assert_eq!(found(&devices, &two), "r=d0 r=d1; r=d2");
}

#[test]
fn the_first_alternative_that_works_is_taken() {
    let devices = devices(&[four()]);
    let alternatives = |counts: &[i64]| {
        let alternative = |(place, count): (usize, &i64)| json!({"name": format!("s{place}"), "deviceClassName": "gpu", "count": count});
        json!({"name": "r", "firstAvailable": counts.iter().enumerate().map(alternative).collect::<Vec<_>>()})
    };
    let wanted = |counts: &[i64]| one(json!({"requests": [alternatives(counts)]}));
    assert_eq!(found(&devices, &wanted(&[5, 2, 1])), "r/s1=d0 r/s1=d1");
    assert_eq!(found(&devices, &wanted(&[5, 6])), "none");
    // An alternative may fail because of what comes after it.
    let both = one(json!({"requests": [alternatives(&[3, 1]), request("x", json!({"count": 2}))]}));
    assert_eq!(found(&devices, &both), "r/s1=d0 x=d1 x=d2");
    let limit = one(json!({"requests": [alternatives(&[20, 30]), request("x", json!({"count": 13}))]}));
    let reason = "fatal: claim ns/c: number of requested devices 33 exceeds the claim limit of 32";
    assert_eq!(found(&devices, &limit), reason);
}

#[test]
fn devices_that_others_have_are_watched_by_administrators_only() {
    let mut devices = devices(&[four()]);
    let result = |device: &str, admin: bool| json!({"request": "r", "driver": DRIVER, "pool": "n", "device": device, "adminAccess": admin});
    let holder = |name: &str, result: Value| {
        from_value(json!({"metadata": {"name": name, "namespace": "ns"}, "spec": {}, "status": {"allocation": {"devices": {"results": [result]}}}})).unwrap()
    };
    devices.upsert_claim(holder("other", result("d0", false)));
    devices.upsert_claim(holder("admin", result("d1", true)));
    assert_eq!(found(&devices, &one(json!({"requests": [request("r", json!({}))]}))), "r=d1");
    let admin = json!({"adminAccess": true, "allocationMode": "All"});
    assert_eq!(
        found(&devices, &one(json!({"requests": [request("r", admin.clone())]}))),
        "r=d0 r=d1 r=d2 r=d3"
    );
    assert_eq!(
        found(
            &devices,
            &one(json!({"requests": [request("r", json!({})), request("a", json!({"adminAccess": true}))]}))
        ),
        "r=d1 a=d0",
        "a claim has each device once"
    );
    let allocations =
        allocate(&devices, &one(json!({"requests": [request("r", admin)]})), DeviceFeatures::default());
    assert!(
        results(&allocations.unwrap().unwrap()[0]).iter().all(|result| result.admin_access == Some(true))
    );
}

#[test]
fn faulty_claims_and_classes_are_named() {
    let mut devices = devices(&[four()]);
    for (name, expression) in [("broken", "nobody"), ("failing", r#"device.attributes["x"].y == 1"#)] {
        let class = json!({"metadata": {"name": name}, "spec": cel(expression)});
        devices.upsert_class(from_value(class).unwrap());
    }
    let class = |name: &str| json!({"requests": [request("r", json!({"deviceClassName": name}))]});
    for (wanted, reason) in [
        (
            class("broken"),
            "class broken: selector #0: CEL compile error: compilation failed: undeclared reference to 'nobody' (in container '')",
        ),
        (class("failing"), "class failing: selector #0: CEL runtime error: no such key: y"),
        (
            class("absent"),
            "claim ns/c, request r: could not retrieve device class absent: deviceclass.resource.k8s.io \"absent\" not found",
        ),
        (class(""), "claim ns/c, request r: missing device class name (unsupported request type?)"),
        (
            json!({"requests": [request("r", cel("1 + "))]}),
            "claim ns/c: selector #0: CEL compile error: compilation failed: Syntax error: mismatched input '<EOF>'",
        ),
        (
            json!({"requests": [request("r", json!({"selectors": [{}]}))]}),
            "claim ns/c, request r, selector #0: CEL expression empty (unsupported selector type?)",
        ),
        (
            json!({"requests": [request("r", json!({"allocationMode": "Most"}))]}),
            "claim ns/c, request r: unsupported count mode Most",
        ),
        (
            json!({"requests": [request("r", json!({}))], "constraints": [{}]}),
            "claim ns/c, constraint #0: empty constraint (unsupported constraint type?)",
        ),
        (
            json!({"requests": [request("r", json!({"count": 33}))]}),
            "claim ns/c: number of requested devices 33 exceeds the claim limit of 32",
        ),
        (
            json!({"requests": [request("r", json!({"allocationMode": "All"}))],
                "constraints": [{"matchAttribute": format!("{DRIVER}/model")}]}),
            "claim ns/c, request r: cannot add device gpu.example.com/n/d3 because a claim constraint would not be satisfied",
        ),
    ] {
        assert_eq!(found(&devices, &one(wanted.clone())), format!("fatal: {reason}"), "{wanted}");
    }
}

#[test]
fn only_the_newest_generation_of_a_pool_counts() {
    let part = |name: &str, generation: i64, count: i64, device_name: &str| {
        slice(
            name,
            json!({"pool": {"name": "n", "generation": generation, "resourceSliceCount": count}, "devices": [device(device_name, json!({}))]}),
        )
    };
    let some = one(json!({"requests": [request("r", json!({}))]}));
    let all = one(json!({"requests": [request("r", json!({"allocationMode": "All"}))]}));
    let mut devices = devices(&[part("s1", 1, 2, "old1"), part("s2", 1, 2, "old2")]);
    assert_eq!(found(&devices, &all), "r=old1 r=old2");
    devices.upsert_slice(&from_value(part("s3", 2, 2, "new1")).unwrap());
    assert_eq!(found(&devices, &some), "r=new1", "part of a pool is enough for those who want some");
    assert_eq!(
        found(&devices, &all),
        format!(
            "fatal: claim ns/c, request r: asks for all devices, but resource pool {DRIVER}/n is currently being updated"
        )
    );
    devices.upsert_slice(&from_value(part("s1", 2, 2, "new1")).unwrap());
    assert_eq!(
        found(&devices, &some),
        "on node: invalid resource pools were encountered",
        "a name stands for one device"
    );
    assert_eq!(
        found(&devices, &all),
        format!(
            "fatal: claim ns/c, request r: asks for all devices, but resource pool {DRIVER}/n is currently invalid"
        )
    );
    devices.upsert_slice(&from_value(part("s1", 2, 2, "new2")).unwrap());
    assert_eq!(found(&devices, &all), "r=new2 r=new1");
    for slice in ["s3", "s1"] {
        devices.remove_slice(slice);
    }
    assert_eq!(found(&devices, &some), "r=old2", "a generation that a driver has set back");
}

#[test]
fn devices_are_reached_from_some_nodes() {
    let rack = |value: &str| json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "rack", "operator": "In", "values": [value]}]}]});
    let reach = |pool: &str, reach: Value, extra: Value| {
        let mut spec = json!({"nodeName": null, "pool": {"name": pool, "generation": 1, "resourceSliceCount": 1}, "devices": [device(pool, json!({}))]});
        for (field, value) in reach.as_object().unwrap() {
            spec[field] = value.clone();
        }
        for (field, value) in extra.as_object().unwrap() {
            spec["devices"][0][field] = value.clone();
        }
        slice(pool, spec)
    };
    let per_device = json!({"perDeviceNodeSelection": true});
    let want = one(json!({"requests": [request("r", json!({}))]}));
    let here = json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]});
    let cases = [
        (json!({"nodeName": "n"}), json!({}), "r=p", here.clone()),
        (json!({"nodeName": "m"}), json!({}), "none", json!(null)),
        (json!({"allNodes": true}), json!({}), "r=p", json!(null)),
        (json!({"nodeSelector": rack("r1")}), json!({}), "r=p", rack("r1")),
        (json!({"nodeSelector": rack("r2")}), json!({}), "none", json!(null)),
        (json!({}), json!({}), "none", json!(null)),
        (per_device.clone(), json!({"nodeName": "n"}), "r=p", here),
        (per_device.clone(), json!({"nodeName": "m"}), "none", json!(null)),
        (per_device.clone(), json!({"allNodes": true}), "r=p", json!(null)),
        (per_device.clone(), json!({"nodeSelector": rack("r1")}), "r=p", rack("r1")),
    ];
    for (where_, extra, expected, selector) in cases {
        let devices = devices(&[reach("p", where_.clone(), extra.clone())]);
        assert_eq!(found_with(&devices, &want, ALL), expected, "{where_} {extra}");
        if let Ok(Some(allocations)) = allocate(&devices, &want, ALL) {
            assert_eq!(json!(allocations[0].node_selector), selector, "{where_} {extra}");
        }
        if where_ == per_device {
            assert_eq!(found(&devices, &want), "none", "the feature is off");
        }
    }
    // A node's own devices go first, and all selectors count.
    let devices = devices(&[
        reach("a", json!({"allNodes": true}), json!({})),
        reach("b", json!({"nodeSelector": rack("r1")}), json!({})),
        reach("z", json!({"nodeName": "n"}), json!({})),
    ]);
    assert_eq!(found(&devices, &want), "r=z");
    let others = one(
        json!({"requests": [request("r", json!({"count": 2, "selectors": [{"cel": {"expression": "device.driver != ''"}}]}))]}),
    );
    assert_eq!(found(&devices, &others), "r=z r=a");
}

#[test]
fn taints_and_counters_count_when_they_are_turned_on() {
    let taint = |effect: &str| json!([{"key": "broken", "value": "fan", "effect": effect}]);
    let tainted =
        |effect: &str| devices(&[slice("s", json!({"devices": [{"name": "d0", "taints": taint(effect)}]}))]);
    let tolerate =
        |toleration: Value| one(json!({"requests": [request("r", json!({"tolerations": [toleration]}))]}));
    for (effect, toleration, expected) in [
        ("NoSchedule", json!({"key": "x", "operator": "Exists"}), "none"),
        ("NoSchedule", json!({"key": "broken", "operator": "Exists"}), "r=d0"),
        ("NoExecute", json!({"operator": "Exists"}), "r=d0"),
        ("NoExecute", json!({"key": "broken", "value": "fan", "effect": "NoExecute"}), "r=d0"),
        ("NoExecute", json!({"key": "broken", "value": "fan", "effect": "NoSchedule"}), "none"),
        ("NoSchedule", json!({"key": "broken", "value": "pump"}), "none"),
        ("None", json!({"key": "x", "operator": "Exists"}), "r=d0"),
    ] {
        assert_eq!(
            found_with(&tainted(effect), &tolerate(toleration.clone()), ALL),
            expected,
            "{effect} {toleration}"
        );
        assert_eq!(found(&tainted(effect), &tolerate(toleration)), "r=d0", "the feature is off");
    }
    let part = |name: &str, amount: &str| json!({"name": name, "consumesCounters": [{"counterSet": "card", "counters": {"memory": {"value": amount}}}]});
    let pool = |device_list: Value| {
        let pool = json!({"name": "n", "generation": 1, "resourceSliceCount": 2});
        let counters = json!([{"name": "card", "counters": {"memory": {"value": "40Gi"}}}]);
        devices(&[
            slice("s1", json!({"pool": pool, "sharedCounters": counters})),
            slice("s2", json!({"pool": pool, "devices": device_list})),
        ])
    };
    let parts = pool(json!([
        part("whole", "40Gi"),
        part("half1", "20Gi"),
        part("half2", "20Gi"),
        part("more", "41Gi")
    ]));
    let want = |count: i64| one(json!({"requests": [request("r", json!({"count": count}))]}));
    assert_eq!(found_with(&parts, &want(1), ALL), "r=whole");
    assert_eq!(found_with(&parts, &want(2), ALL), "r=half1 r=half2");
    assert_eq!(found_with(&parts, &want(3), ALL), "none");
    assert_eq!(found(&parts, &want(1)), "none", "the feature is off");
}

#[test]
fn configuration_comes_from_classes_and_claims() {
    let devices = devices(&[four()]);
    let config = |requests: Value| json!({"requests": requests, "opaque": {"driver": DRIVER, "parameters": {"from": "claim"}}});
    let claims = one(json!({
        "requests": [request("a", json!({})), {"name": "b", "firstAvailable": [{"name": "x", "deviceClassName": "gpu", "count": 9}, {"name": "y", "deviceClassName": "gpu"}]}],
        "config": [config(json!([])), config(json!(["b/y"])), config(json!(["b/x"])), config(json!(["a", "b"]))],
    }));
    let allocation = allocate(&devices, &claims, DeviceFeatures::default()).unwrap().unwrap().remove(0);
    let config = allocation.devices.unwrap().config.unwrap();
    let texts: Vec<_> = config
        .iter()
        .map(|c| format!("{} {}", c.source, c.requests.clone().unwrap_or_default().join(",")))
        .collect();
    assert_eq!(texts, ["FromClass a,b/y", "FromClaim ", "FromClaim b/y", "FromClaim a,b", "FromClaim a,b"]);
}

#[test]
fn a_search_without_end_ends() {
    // Sixteen devices of sixteen kinds, and eight of them are to be of one kind.
    let kinds = (0..16)
        .map(|number| device(&format!("d{number}"), json!({"kind": {"int": number / 2}})))
        .collect::<Vec<_>>();
    let devices = devices(&[slice("s", json!({"devices": kinds}))]);
    let kind = format!("{DRIVER}/kind");
    let pairs: Vec<_> = (0..9).map(|number| request(&format!("r{number}"), json!({"count": 1}))).collect();
    let constraints: Vec<_> = (0..8)
        .map(|n| json!({"matchAttribute": kind, "requests": [format!("r{n}"), format!("r{}", n + 1)]}))
        .collect();
    let claims = one(json!({"requests": pairs, "constraints": constraints}));
    let selectors = Selectors::new(Arc::new(BuiltinSelectors));
    let mut allocator =
        Allocator::new(&devices, &claims, &selectors, DeviceFeatures::default(), 100).unwrap();
    assert_eq!(allocator.allocate(&node("n")), Err(Failure::Exhausted));
    assert_eq!(
        allocator.allocate(&node("n")),
        Err(Failure::Exhausted),
        "the budget is for all nodes together"
    );
    assert_eq!(found(&devices, &claims), "none", "with enough of it the answer is known");
}
