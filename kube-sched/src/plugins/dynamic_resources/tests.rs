use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::framework::{
    Binding, ClusterEvent, Cycle, Hint, NodeStatus, PostFilter, PostFilterOutcome, PreEnqueue, Profile,
    QueueingHints, Reason, Reserve, Status,
};
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;
use crate::testing::{self, merge, parse};
use crate::{Decision, schedule};

const DRIVER: &str = "gpu.example.com";

/// Nodes `a` and `b` with one device each, and a class for them.
fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.devices_mut().upsert_class(parse(json!({"metadata": {"name": "gpu"}, "spec": {}})));
    for name in ["a", "b"] {
        snapshot.upsert_node(Arc::new(testing::node(name, json!({}))));
        let pool = json!({"name": name, "generation": 1, "resourceSliceCount": 1});
        let devices = json!([{"name": "gpu-0", "attributes": {"place": {"string": name}}}]);
        snapshot.devices_mut().upsert_slice(&parse(json!({"metadata": {"name": name},
            "spec": {"driver": DRIVER, "nodeName": name, "pool": pool, "devices": devices}})));
    }
    snapshot
}

fn claim(name: &str, extra: Value) -> Value {
    let mut claim = json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1"},
        "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}});
    merge(&mut claim, extra);
    claim
}

/// A claim that has the device of a node.
fn allocated(name: &str, node: &str, users: &[&str]) -> Value {
    let only = json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]});
    let result = json!({"request": "r", "driver": DRIVER, "pool": node, "device": "gpu-0"});
    let users: Vec<_> =
        users.iter().map(|user| json!({"resource": "pods", "name": user, "uid": user})).collect();
    claim(
        name,
        json!({"status": {"allocation": {"devices": {"results": [result]}, "nodeSelector": only}, "reservedFor": users}}),
    )
}

fn pod(name: &str, claims: &[&str]) -> PodInfo {
    let claims: Vec<_> =
        claims.iter().map(|claim| json!({"name": claim, "resourceClaimName": claim})).collect();
    testing::pod(name, json!({"spec": {"resourceClaims": claims}}))
}

/// A pod whose claim is made from a template, and its status.
fn with_template(name: &str, statuses: Value) -> PodInfo {
    let claims = json!([{"name": "gpu", "resourceClaimTemplateName": "template"}]);
    testing::pod(
        name,
        json!({"spec": {"resourceClaims": claims}, "status": {"resourceClaimStatuses": statuses}}),
    )
}

fn decide(snapshot: &Snapshot, pod: &PodInfo) -> Decision {
    schedule(snapshot, pod, &Profile::default(), &mut Rng::with_seed(1))
}

fn outcome(snapshot: &Snapshot, pod: &PodInfo) -> String {
    testing::outcome(&decide(snapshot, pod))
}

fn upsert(snapshot: &mut Snapshot, claim: Value) {
    snapshot.devices_mut().upsert_claim(parse(claim));
}

fn binding<'a>(pod: &'a PodInfo, node: &'a str) -> Binding<'a> {
    Binding { pod, node, volumes: None, devices: None }
}

#[test]
fn claims_that_cannot_be_used_are_named_before_the_queue_and_in_it() {
    let mut snapshot = cluster();
    upsert(
        &mut snapshot,
        claim("leaving", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
    );
    upsert(&mut snapshot, claim("strangers", json!({})));
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": true});
    upsert(&mut snapshot, claim("own", json!({"metadata": {"ownerReferences": [owner]}})));
    let status = |claim: &str| json!([{"name": "gpu", "resourceClaimName": claim}]);
    let plugin = DynamicResources::default();
    for (pod, reason) in [
        (pod("p", &["none"]), Some("could not find resource claim \"ns/none\"")),
        (pod("p", &["leaving"]), Some("resourceclaim \"leaving\" is being deleted")),
        (pod("p", &["strangers"]), None),
        (with_template("p", json!([])), Some("pod \"ns/p\": ResourceClaim not created yet")),
        (
            with_template("p", status("strangers")),
            Some("ResourceClaim ns/strangers was not created for pod ns/p (pod is not owner)"),
        ),
        (with_template("p", status("own")), None),
        (with_template("p", json!([{"name": "gpu"}])), None),
        (
            testing::pod("p", json!({"spec": {"resourceClaims": [{"name": "x"}]}})),
            Some("pod \"ns/p\", spec.resourceClaim \"x\": none of the supported fields are set"),
        ),
        (testing::pod("p", json!({})), None),
    ] {
        let gate = plugin.pre_enqueue(&pod, &snapshot.gate_view()).map_err(|status| status.message());
        assert_eq!(gate.err().as_deref(), reason);
        match reason {
            Some(reason) => {
                assert_eq!(outcome(&snapshot, &pod), format!("0/2 nodes are available: {reason}."))
            }
            None => assert!(decide(&snapshot, &pod).node().is_some()),
        }
    }
}

#[test]
fn classes_must_exist() {
    let mut snapshot = cluster();
    let request = |request: Value| claim("c", json!({"spec": {"devices": {"requests": [request]}}}));
    let sub = json!([{"name": "s", "deviceClassName": "gpu"}, {"name": "t", "deviceClassName": "absent"}]);
    for (wanted, reason) in [
        (
            json!({"name": "r", "exactly": {"deviceClassName": "absent"}}),
            "request r: device class absent does not exist",
        ),
        (json!({"name": "r", "firstAvailable": sub}), "request r/t: device class absent does not exist"),
        (json!({"name": "r"}), "resource claim ns/c, request r: unknown request type"),
    ] {
        upsert(&mut snapshot, request(wanted));
        let message = decide(&snapshot, &pod("p", &["c"])).message();
        let expected =
            format!("0/2 nodes are available: {reason}. no new claims to deallocate, preemption: ");
        assert!(message.starts_with(&expected), "{message}");
    }
    upsert(&mut snapshot, request(json!({"name": "r", "exactly": {"deviceClassName": ""}})));
    assert_eq!(
        decide(&snapshot, &pod("p", &["c"])).message(),
        "running PreFilter plugin \"DynamicResources\": request r: unsupported request type"
    );
    let bad = json!({"name": "r", "exactly": {"deviceClassName": "gpu", "selectors": [{"cel": {"expression": "device.attributes['x'].y"}}]}});
    upsert(&mut snapshot, request(bad));
    let message = "running \"DynamicResources\" filter plugin: claim ns/c: selector #0: CEL runtime error: no such key: y";
    assert_eq!(decide(&snapshot, &pod("p", &["c"])).message(), message);
}

#[test]
fn pods_of_one_batch_never_get_the_same_device() {
    let mut snapshot = cluster();
    let (plugin, mut nodes) = (DynamicResources::default(), Vec::new());
    for name in ["p1", "p2", "p3"] {
        upsert(&mut snapshot, claim(name, json!({})));
    }
    for name in ["p1", "p2"] {
        let pod = pod(name, &[name]);
        let node = decide(&snapshot, &pod).node().cloned().unwrap();
        plugin.reserve(&mut snapshot, &binding(&pod, &node)).unwrap();
        snapshot.assume(&pod, &node);
        nodes.push(node.to_string());
    }
    nodes.sort();
    assert_eq!(nodes, ["a", "b"]);
    let third = pod("p3", &["p3"]);
    let message = decide(&snapshot, &third).message();
    let expected = "0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, \
        preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    assert_eq!(message, expected);
    // Who shares a claim waits until it has its devices.
    let sharer = pod("s", &["p1"]);
    assert_eq!(
        outcome(&snapshot, &sharer),
        "0/2 nodes are available: resource claim ns/p1 is in the process of being allocated."
    );
    let fork = snapshot.fork();
    plugin.unreserve(&mut snapshot, &binding(&pod("p1", &["p1"]), "a"));
    assert!(decide(&snapshot, &third).node().is_some(), "the device is free again");
    assert_eq!(decide(&fork, &third).node(), None, "a fork has its own devices");
    let late = plugin.reserve(&mut fork.fork(), &binding(&third, "a"));
    assert_eq!(late, Err(Status::unresolvable("cannot allocate all claims")));
}

#[test]
fn a_plan_says_what_is_to_be_written() {
    let mut snapshot = cluster();
    upsert(
        &mut snapshot,
        claim(
            "new",
            json!({"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}}),
        ),
    );
    upsert(&mut snapshot, allocated("shared", "b", &["other"]));
    upsert(&mut snapshot, allocated("ours", "b", &["p"]));
    let everywhere = json!({"metadata": {"name": "net"}, "spec": {"driver": DRIVER, "allNodes": true,
        "pool": {"name": "net", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "net-0"}]}});
    snapshot.devices_mut().upsert_slice(&parse(everywhere));
    let pod = pod("p", &["new", "shared", "ours"]);
    assert_eq!(outcome(&snapshot, &pod), "b");
    DynamicResources::default().reserve(&mut snapshot, &binding(&pod, "b")).unwrap();
    let plan = snapshot.devices().plan("ns/p").unwrap();
    let texts = plan.claims.iter().map(|planned| {
        let results =
            planned.allocation.iter().flat_map(|a| a.devices.iter().flat_map(|d| d.results.iter().flatten()));
        let devices: Vec<_> = results.map(|result| format!("{}/{}", result.pool, result.device)).collect();
        format!("{}: {}", planned.claim.metadata.name.as_deref().unwrap_or_default(), devices.join(" "))
    });
    assert_eq!(
        texts.collect::<Vec<_>>(),
        ["new: net/net-0", "shared: "],
        "what is reserved for the pod already is left alone"
    );
}

#[test]
fn devices_on_the_wrong_node_are_given_back_if_nobody_else_uses_them() {
    let selector = |node: &str| json!({"spec": {"nodeName": null, "nodeSelector": {"none": node}}});
    for (users, remedied) in [(&[][..], true), (&["p"], true), (&["other"], false), (&["p", "other"], false)]
    {
        let mut snapshot = cluster();
        upsert(&mut snapshot, allocated("c", "a", users));
        let cordoned = testing::node("a", json!({"spec": {"unschedulable": true}}));
        snapshot.upsert_node(Arc::new(cordoned));
        let decision = decide(&snapshot, &pod("p", &["c"]));
        let message = decision.message();
        let (verdict, refused) = match remedied {
            true => ("deallocation of ResourceClaim completed", Some("c")),
            false => ("still not schedulable", None),
        };
        let expected = format!(
            "0/2 nodes are available: 1 node(s) were unschedulable, 1 resourceclaim not available on the node. {verdict}, preemption:"
        );
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(decision.deallocation.and_then(|claim| claim.metadata.name.clone()).as_deref(), refused);
    }
    let snapshot = cluster();
    let cycle = Cycle { snapshot: &snapshot, pod: &testing::pod("p", selector("x")) };
    let verdict = DynamicResources::default().post_filter(&cycle, &Profile::default(), &[] as &[NodeStatus]);
    assert_eq!(verdict, PostFilterOutcome::Ineligible(vec![Reason::from("no new claims to deallocate")]));
}

#[test]
fn a_pod_is_woken_by_what_may_help_it() {
    let plugin = DynamicResources::default();
    let ours = pod("p", &["c"]);
    let changed = |key: &str, created, deallocated, status| ClusterEvent::ClaimChanged {
        key: key.into(),
        created,
        deallocated,
        status,
    };
    let updated = |old: Value, new: Value| ClusterEvent::PodUpdated {
        old: Arc::new(with_template("p", old)),
        new: Arc::new(with_template("p", new)),
    };
    for (event, wakes) in [
        (changed("ns/c", true, false, false), true),
        (changed("ns/c", false, false, true), true),
        (changed("ns/c", false, false, false), false),
        (changed("ns/other", true, false, true), false),
        (changed("ns/other", false, true, true), true),
        (ClusterEvent::DeviceClassChanged, true),
        (ClusterEvent::DevicesChanged, true),
        (ClusterEvent::StorageChanged { claim: None }, false),
        (ClusterEvent::PodRemoved(Arc::new(pod("q", &["x"]))), true),
        (ClusterEvent::PodRemoved(Arc::new(testing::pod("q", json!({})))), false),
        (updated(json!([]), json!([{"name": "gpu", "resourceClaimName": "c"}])), true),
        (updated(json!([]), json!([])), false),
    ] {
        let hint = plugin.hint(&ours, &event);
        assert_eq!(hint == Hint::Queue, wakes, "{event:?}");
        assert!(!wakes || plugin.events().contains(&event.kind()));
    }
}

#[test]
fn arguments_are_those_of_upstream_and_feature_gates() {
    let plugin = |args| DynamicResources::from_args(&args).unwrap();
    let gates = json!({"featureGates": {"DRADeviceTaints": true, "DRAPartitionableDevices": false}});
    let expected = DeviceFeatures { device_taints: true, partitionable_devices: false };
    assert_eq!(plugin(gates).features, expected);
    let (half, whole) = (plugin(json!({"filterTimeout": "500ms"})), plugin(json!({"filterTimeout": "1s"})));
    assert_eq!(whole.budget, 2 * half.budget);
    assert_eq!(plugin(json!(null)).budget, 10 * whole.budget);
    assert_eq!(plugin(json!({"filterTimeout": "0s"})).budget, u64::MAX);
}

/// Takes every device, whatever the expression.
#[derive(Debug)]
struct Any;

impl SelectorCompiler for Any {
    fn compile(&self, _: &str) -> Result<Arc<dyn DeviceSelector>, String> {
        Ok(Arc::new(Self))
    }
}

impl DeviceSelector for Any {
    fn matches(&self, _: &crate::snapshot::DeviceFacts, _: &mut u64) -> Result<bool, String> {
        Ok(true)
    }
}

#[test]
fn selectors_can_be_somebody_elses() {
    let mut snapshot = cluster();
    let selectors = json!([{"cel": {"expression": "in a language of its own"}}]);
    let requests = json!([{"name": "r", "exactly": {"deviceClassName": "gpu", "selectors": selectors}}]);
    upsert(&mut snapshot, claim("c", json!({"spec": {"devices": {"requests": requests}}})));
    let pod = pod("p", &["c"]);
    let plugin = DynamicResources::default();
    assert!(plugin.reserve(&mut snapshot.fork(), &binding(&pod, "a")).is_err());
    let plugin = plugin.with_selectors(Arc::new(Any));
    assert_eq!(plugin.reserve(&mut snapshot, &binding(&pod, "a")), Ok(()));
}
