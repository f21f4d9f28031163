use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::framework::{Binding, Profile, QueueingHints, Reserve};
use crate::snapshot::Storage;
use crate::testing::{self, merge, parse};
use crate::{Decision, schedule};

/// Node `a` in zone `a` and node `b` in zone `b`.
fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::new();
    for name in ["a", "b"] {
        let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name});
        snapshot.upsert_node(Arc::new(testing::node(name, json!({"metadata": {"labels": labels}}))));
    }
    let storage = snapshot.storage_mut();
    for (name, mode, provisioner) in [
        ("now", "Immediate", "csi"),
        ("later", "WaitForFirstConsumer", "kubernetes.io/no-provisioner"),
        ("made", "WaitForFirstConsumer", "csi"),
    ] {
        let class =
            json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode});
        storage.upsert_class(parse(class));
    }
    snapshot
}

fn claim(name: &str, class: &str, size: &str, extra: Value) -> Value {
    let mut claim = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    });
    merge(&mut claim, extra);
    claim
}

fn bound(name: &str, volume: &str) -> Value {
    let annotations = json!({"pv.kubernetes.io/bind-completed": "yes"});
    claim(
        name,
        "now",
        "1Gi",
        json!({"metadata": {"annotations": annotations}, "spec": {"volumeName": volume}}),
    )
}

/// A volume that only one host can reach.
fn volume(name: &str, class: &str, size: &str, host: &str, extra: Value) -> Value {
    let affinity = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}]}});
    let mut volume = json!({
        "metadata": {"name": name},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "nodeAffinity": affinity},
        "status": {"phase": "Available"},
    });
    merge(&mut volume, extra);
    volume
}

fn pod(name: &str, claims: &[&str]) -> PodInfo {
    let volumes: Vec<_> = claims
        .iter()
        .map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}}))
        .collect();
    with_volumes(name, json!(volumes))
}

fn with_volumes(name: &str, volumes: Value) -> PodInfo {
    testing::pod(name, json!({"spec": {"volumes": volumes}}))
}

fn decide(snapshot: &Snapshot, pod: &PodInfo) -> Decision {
    schedule(snapshot, pod, &Profile::default(), &mut Rng::with_seed(1))
}

fn outcome(snapshot: &Snapshot, pod: &PodInfo) -> String {
    testing::outcome(&decide(snapshot, pod))
}

#[test]
fn claims_that_cannot_be_used_are_named() {
    let mut snapshot = cluster();
    let storage = snapshot.storage_mut();
    storage.upsert_claim(parse(claim(
        "lost",
        "now",
        "1Gi",
        json!({"spec": {"volumeName": "v"}, "status": {"phase": "Lost"}}),
    )));
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    storage.upsert_claim(parse(claim("leaving", "now", "1Gi", deleted)));
    storage.upsert_claim(parse(claim("unbound", "now", "1Gi", json!({}))));
    storage.upsert_claim(parse(claim("p-scratch", "now", "1Gi", json!({}))));
    let says = |claim: &str| outcome(&snapshot, &pod("p", &[claim]));
    let nodes = "0/2 nodes are available: ";
    assert_eq!(says("none"), format!("{nodes}persistentvolumeclaim \"none\" not found."));
    assert_eq!(
        says("lost"),
        format!("{nodes}persistentvolumeclaim \"lost\" bound to non-existent persistentvolume \"v\".")
    );
    assert_eq!(says("leaving"), format!("{nodes}persistentvolumeclaim \"leaving\" is being deleted."));
    assert_eq!(says("unbound"), format!("{nodes}pod has unbound immediate PersistentVolumeClaims."));
    let template = |name: &str| json!([{"name": name, "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]);
    assert_eq!(
        outcome(&snapshot, &with_volumes("p", template("absent"))),
        format!(
            "{nodes}waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-absent\"."
        )
    );
    assert_eq!(
        outcome(&snapshot, &with_volumes("p", template("scratch"))),
        format!("{nodes}PVC ns/p-scratch was not created for pod ns/p (pod is not owner).")
    );
}

#[test]
fn bound_claims_lead_to_their_volumes() {
    let mut snapshot = cluster();
    let storage = snapshot.storage_mut();
    storage.upsert_volume(parse(volume("on-a", "now", "1Gi", "a", json!({}))));
    storage.upsert_volume(parse(volume("on-b", "now", "1Gi", "b", json!({}))));
    for (name, volume) in [("data", "on-b"), ("more", "on-a"), ("dangling", "nowhere")] {
        storage.upsert_claim(parse(bound(name, volume)));
    }
    assert_eq!(outcome(&snapshot, &pod("p", &["data"])), "b");
    assert_eq!(
        outcome(&snapshot, &pod("p", &["data", "more"])),
        "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity."
    );
    assert_eq!(
        outcome(&snapshot, &pod("p", &["dangling"])),
        "0/2 nodes are available: persistentvolume \"nowhere\" not found."
    );
}

#[test]
fn waiting_claims_get_the_smallest_volume_that_suits() {
    let mut snapshot = cluster();
    let storage = snapshot.storage_mut();
    storage.upsert_claim(parse(claim("data", "later", "2Gi", json!({}))));
    let none = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.";
    assert_eq!(outcome(&snapshot, &pod("p", &["data"])), none);
    let unsuitable = [
        volume("small", "later", "1Gi", "b", json!({})),
        volume("other-class", "now", "5Gi", "b", json!({})),
        volume("block", "later", "5Gi", "b", json!({"spec": {"volumeMode": "Block"}})),
        volume("shared", "later", "5Gi", "b", json!({"spec": {"accessModes": ["ReadOnlyMany"]}})),
        volume(
            "taken",
            "later",
            "5Gi",
            "b",
            json!({"spec": {"claimRef": {"namespace": "ns", "name": "else"}}}),
        ),
        volume("released", "later", "5Gi", "b", json!({"status": {"phase": "Released"}})),
        volume(
            "leaving",
            "later",
            "5Gi",
            "b",
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        ),
    ];
    for volume in unsuitable {
        snapshot.storage_mut().upsert_volume(parse(volume));
        assert_eq!(outcome(&snapshot, &pod("p", &["data"])), none);
    }
    let storage = snapshot.storage_mut();
    storage.upsert_volume(parse(volume("large", "later", "9Gi", "b", json!({}))));
    storage.upsert_volume(parse(volume("fitting", "later", "3Gi", "b", json!({}))));
    assert_eq!(outcome(&snapshot, &pod("p", &["data"])), "b");
    assert_eq!(planned(&mut snapshot, &pod("p", &["data"]), "b"), ["data on fitting"]);
}

/// Reserves and says what is to be done.
fn planned(snapshot: &mut Snapshot, pod: &PodInfo, node: &str) -> Vec<String> {
    let binding = Binding { pod, node, volumes: None, devices: None };
    VolumeBinding::default().reserve(snapshot, &binding).unwrap();
    let Some(plan) = snapshot.storage().plan(&pod.key) else { return Vec::new() };
    let bindings = plan.bindings.iter().map(|(claim, volume)| format!("{} on {}", claim.name(), volume.name));
    bindings.chain(plan.provisions.iter().map(|claim| format!("{} made", claim.name()))).collect()
}

#[test]
fn what_is_planned_is_taken_until_it_is_taken_back() {
    let mut snapshot = cluster();
    let storage = snapshot.storage_mut();
    for name in ["one", "two"] {
        storage.upsert_claim(parse(claim(name, "later", "1Gi", json!({}))));
    }
    storage.upsert_volume(parse(volume("only", "later", "1Gi", "a", json!({}))));
    let (first, second) = (pod("first", &["one"]), pod("second", &["two"]));
    assert_eq!(planned(&mut snapshot, &first, "a"), ["one on only"]);
    let fork = snapshot.fork();
    assert_eq!(
        outcome(&snapshot, &second),
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
    );
    VolumeBinding::default()
        .unreserve(&mut snapshot, &Binding { pod: &first, node: "a", volumes: None, devices: None });
    assert_eq!(outcome(&snapshot, &second), "a");
    assert_ne!(outcome(&fork, &second), "a", "a fork keeps what it has seen");
}

#[test]
fn volumes_are_made_where_the_class_and_the_space_allow() {
    let mut snapshot = cluster();
    let storage = snapshot.storage_mut();
    storage.upsert_claim(parse(claim("data", "made", "5Gi", json!({}))));
    let p = pod("p", &["data"]);
    assert_eq!(planned(&mut snapshot, &p, "a"), ["data made"]);
    assert_eq!(outcome(&snapshot, &pod("q", &["data"])), "a", "the claim has its node");
    VolumeBinding::default()
        .unreserve(&mut snapshot, &Binding { pod: &p, node: "a", volumes: None, devices: None });

    let limited = |zone: &str| {
        json!({"metadata": {"name": "made"}, "provisioner": "csi", "volumeBindingMode": "WaitForFirstConsumer",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": [zone]}]}]})
    };
    snapshot.storage_mut().upsert_class(parse(limited("b")));
    assert_eq!(outcome(&snapshot, &p), "b");
    let driver = json!({"metadata": {"name": "csi"}, "spec": {"storageCapacity": true}});
    snapshot.storage_mut().upsert_csi_driver(parse(driver));
    let full = "0/2 nodes are available: 1 node(s) did not have enough free storage, 1 node(s) didn't find available persistent volumes to bind.";
    assert_eq!(outcome(&snapshot, &p), full);
    let capacity = |size: &str| {
        json!({"metadata": {"name": "c", "namespace": "csi"}, "storageClassName": "made", "capacity": size,
        "nodeTopology": {"matchLabels": {"topology.kubernetes.io/zone": "b"}}})
    };
    snapshot.storage_mut().upsert_capacity(parse(capacity("4Gi")));
    assert_eq!(outcome(&snapshot, &p), full);
    snapshot.storage_mut().upsert_capacity(parse(capacity("5Gi")));
    assert_eq!(outcome(&snapshot, &p), "b");
    snapshot.storage_mut().remove_capacity("csi/c");
    assert_eq!(outcome(&snapshot, &p), full);
}

#[test]
fn a_selected_node_is_kept() {
    let mut snapshot = cluster();
    let selected = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "b"}}});
    snapshot.storage_mut().upsert_claim(parse(claim("data", "made", "5Gi", selected)));
    assert_eq!(outcome(&snapshot, &pod("p", &["data"])), "b");
}

#[test]
fn an_exclusive_claim_serves_one_pod() {
    let mut snapshot = cluster();
    let exclusive = json!({"spec": {"accessModes": ["ReadWriteOncePod"]}});
    let storage = snapshot.storage_mut();
    storage.upsert_volume(parse(volume("v", "now", "1Gi", "a", json!({}))));
    let mut only = bound("only", "v");
    merge(&mut only, exclusive);
    storage.upsert_claim(parse(only));
    let (first, second) = (pod("first", &["only"]), pod("second", &["only"]));
    assert_eq!(outcome(&snapshot, &first), "a");
    snapshot.assume(&first, &"a".into());
    let message = outcome(&snapshot, &second);
    assert!(
        message.contains(
            "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
        ),
        "{message}"
    );
    let removed = ClusterEvent::PodRemoved(Arc::new(first.clone()));
    assert_eq!(VolumeRestrictions.hint(&second, &removed), Hint::Queue);
    assert_eq!(VolumeRestrictions.hint(&pod("other", &[]), &removed), Hint::Skip);
    snapshot.remove_pod(&first.key);
    assert_eq!(outcome(&snapshot, &second), "a");
}

#[test]
fn a_disk_is_written_by_one_pod_of_a_node() {
    let mut snapshot = cluster();
    let disk = |ro: bool| json!([{"name": "d", "gcePersistentDisk": {"pdName": "disk", "readOnly": ro}}]);
    for node in ["a", "b"] {
        snapshot.assume(&with_volumes(&format!("reader-{node}"), disk(true)), &node.into());
    }
    assert_ne!(decide(&snapshot, &with_volumes("reader", disk(true))).node(), None);
    assert_eq!(
        outcome(&snapshot, &with_volumes("writer", disk(false))),
        "0/2 nodes are available: 2 node(s) had no available disk."
    );
}

#[test]
fn a_zone_is_kept_where_nodes_have_zones() {
    let mut snapshot = cluster();
    let anywhere = |zones: &str| {
        json!({"metadata": {"name": "v", "labels": {"topology.kubernetes.io/zone": zones}},
        "spec": {"capacity": {"storage": "1Gi"}}})
    };
    snapshot.storage_mut().upsert_claim(parse(bound("data", "v")));
    let p = pod("p", &["data"]);
    for (zones, expected) in
        [("b", "b"), ("b__c", "b"), ("c", "0/2 nodes are available: 2 node(s) had no available volume zone.")]
    {
        snapshot.storage_mut().upsert_volume(parse(anywhere(zones)));
        assert_eq!(outcome(&snapshot, &p), expected, "{zones}");
    }
}

#[test]
fn attached_volumes_are_counted_once_each() {
    let mut snapshot = cluster();
    let limit = |count: i32| json!({"metadata": {"name": "a"}, "spec": {"drivers": [{"name": "csi", "nodeID": "a", "allocatable": {"count": count}}]}});
    let storage = snapshot.storage_mut();
    for name in ["one", "two"] {
        let source = json!({"spec": {"csi": {"driver": "csi", "volumeHandle": name}}});
        storage.upsert_volume(parse(volume(name, "now", "1Gi", "a", source)));
        storage.upsert_claim(parse(bound(name, name)));
    }
    storage.upsert_csi_node(parse(limit(1)));
    snapshot.assume(&pod("first", &["one"]), &"a".into());
    assert_eq!(outcome(&snapshot, &pod("again", &["one"])), "a", "attached already");
    let message = outcome(&snapshot, &pod("second", &["two"]));
    assert_eq!(
        message,
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) exceed max volume count."
    );
    snapshot.storage_mut().upsert_csi_node(parse(limit(2)));
    assert_eq!(outcome(&snapshot, &pod("second", &["two"])), "a");
    // A volume that is gone while its claim is in use counts by its class.
    let class = json!({"metadata": {"name": "now"}, "provisioner": "csi", "volumeBindingMode": "Immediate"});
    snapshot.storage_mut().upsert_class(parse(class));
    snapshot.storage_mut().upsert_claim(parse(bound("lost", "nowhere")));
    snapshot.assume(&pod("holder", &["lost"]), &"a".into());
    assert!(outcome(&snapshot, &pod("second", &["two"])).contains("1 node(s) exceed max volume count"));
}

#[test]
fn binding_is_waited_for_as_long_as_the_arguments_say() {
    let timeout = |args: Value| VolumeBinding::from_args(&args).map(|plugin| plugin.timeout.as_secs());
    assert_eq!(timeout(Value::Null).unwrap(), 600);
    assert_eq!(timeout(json!({"kind": "VolumeBindingArgs", "bindTimeoutSeconds": 5})).unwrap(), 5);
}

#[test]
fn storage_hints_ask_whose_claim_it_is() {
    let p = pod("p", &["data"]);
    let of = |claim: Option<&str>| {
        VolumeBinding::default().hint(&p, &ClusterEvent::StorageChanged { claim: claim.map(Into::into) })
    };
    assert_eq!((of(Some("ns/data")), of(Some("ns/other")), of(None)), (Hint::Queue, Hint::Skip, Hint::Queue));
}

#[test]
fn a_snapshot_without_storage_objects_knows_no_claims() {
    assert!(Storage::default().claim("ns/data").is_none());
    assert_eq!(outcome(&cluster(), &pod("p", &[])).len(), 1);
}
