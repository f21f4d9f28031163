//! Volumes, their claims and classes.

use serde_json::{Value, json};

use super::draw::Draw;
use super::{HOST, Item, NAMESPACES, ZONE, ZONES};

const DRIVER: &str = "csi.example.com";
/// Claims of each namespace.
const CLAIMS: usize = 7;
const VOLUMES: &str = "/api/v1/persistentvolumes";

pub(super) fn items(draw: &mut Draw, nodes: usize) -> Vec<Item> {
    let mut items = classes(draw);
    items.push(Item::new(
        "/apis/storage.k8s.io/v1/csidrivers",
        json!({"metadata": {"name": DRIVER}, "spec": {"storageCapacity": draw.chance(70), "attachRequired": true}}),
    ));
    for at in 0..nodes {
        items.extend(csi_node(draw, at));
    }
    for at in 0..draw.below(8) {
        items.push(free_volume(draw, at));
    }
    for namespace in NAMESPACES {
        for at in 0..CLAIMS {
            items.extend(claim(draw, namespace, at));
        }
    }
    items.extend((0..draw.below(5)).map(|at| capacity(draw, at)));
    items
}

fn classes(draw: &mut Draw) -> Vec<Item> {
    let class = |name: &str, provisioner: &str, mode: &str| {
        json!({"metadata": {"name": name}, "provisioner": provisioner,
        "volumeBindingMode": mode, "reclaimPolicy": "Delete"})
    };
    let mut bounded = class("bounded", DRIVER, "WaitForFirstConsumer");
    bounded["allowedTopologies"] =
        json!([{"matchLabelExpressions": [{"key": ZONE, "values": [draw.one(ZONES), "z1"]}]}]);
    [
        class("now", DRIVER, "Immediate"),
        class("wait", DRIVER, "WaitForFirstConsumer"),
        class("static", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
        bounded,
    ]
    .map(|class| Item::new("/apis/storage.k8s.io/v1/storageclasses", class))
    .into()
}

fn csi_node(draw: &mut Draw, at: usize) -> Option<Item> {
    if draw.chance(15) {
        return None;
    }
    let name = format!("node-{at}");
    let mut driver = json!({"name": DRIVER, "nodeID": name, "topologyKeys": [ZONE]});
    if draw.chance(70) {
        driver["allocatable"] = json!({"count": draw.number(&[0, 1, 2, 20])});
    }
    let drivers = if draw.chance(90) { json!([driver]) } else { json!([]) };
    let object = json!({"metadata": {"name": name}, "spec": {"drivers": drivers}});
    Some(Item::new("/apis/storage.k8s.io/v1/csinodes", object))
}

fn volume(draw: &mut Draw, name: &str, class: &str) -> Value {
    let mut spec = json!({"storageClassName": class, "capacity": {"storage": draw.one(&["1Gi", "5Gi", "20Gi"])},
        "accessModes": draw.one(&["ReadWriteOnce", "ReadWriteOnce", "ReadWriteMany"]).split(' ').collect::<Vec<_>>(),
        "persistentVolumeReclaimPolicy": "Retain"});
    let mut labels = json!({});
    match draw.below(4) {
        0 => spec["hostPath"] = json!({"path": "/data"}),
        1 => {
            spec["gcePersistentDisk"] = json!({"pdName": name});
            labels = draw.fields(&[(ZONE, 70, &["z0", "z1", "z0__z2"])]);
        }
        _ => spec["csi"] = json!({"driver": DRIVER, "volumeHandle": name}),
    }
    match draw.below(3) {
        0 => {
            spec["nodeAffinity"]["required"]["nodeSelectorTerms"] = json!([{"matchExpressions": [
            {"key": ZONE, "operator": "In", "values": [draw.one(ZONES), draw.one(ZONES)]}]}])
        }
        1 if draw.chance(40) => {
            spec["nodeAffinity"]["required"]["nodeSelectorTerms"] = json!([{"matchExpressions": [
            {"key": HOST, "operator": "In", "values": [format!("node-{}", draw.below(4))]}]}])
        }
        _ => {}
    }
    if draw.chance(40) {
        labels["speed"] = draw.one(&["fast", "slow"]).into();
    }
    json!({"metadata": {"name": name, "labels": labels}, "spec": spec})
}

fn free_volume(draw: &mut Draw, at: usize) -> Item {
    let class = draw.one(&["static", "static", "wait"]);
    let volume = volume(draw, &format!("free-{at}"), class);
    Item::new(VOLUMES, volume).with_status(json!({"phase": "Available"}))
}

/// A claim, and its volume if it has one. Some are missing.
fn claim(draw: &mut Draw, namespace: &str, at: usize) -> Vec<Item> {
    let (name, path) =
        (format!("claim-{at}"), format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"));
    let mode = draw.one(&["ReadWriteOnce", "ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]);
    let mut spec = json!({"accessModes": [mode], "resources": {"requests": {"storage": draw.one(&["1Gi", "4Gi", "10Gi"])}}});
    let mut metadata = json!({"name": name, "namespace": namespace});
    let kind = draw.below(10);
    match kind {
        0..5 => {}
        5 => spec["storageClassName"] = "now".into(),
        6 | 7 => spec["storageClassName"] = draw.one(&["static", "static", "wait"]).into(),
        8 => spec["storageClassName"] = draw.one(&["bounded", "wait", "missing"]).into(),
        _ => return Vec::new(),
    }
    if kind >= 5 {
        if draw.chance(15) {
            spec["selector"] = json!({"matchLabels": {"speed": "fast"}});
        }
        return vec![Item::new(path, json!({"metadata": metadata, "spec": spec}))];
    }
    let bound = format!("pv-{namespace}-{at}");
    let class = draw.one(&["wait", "now", "static"]);
    let mut volume = volume(draw, &bound, class);
    volume["spec"]["claimRef"] =
        json!({"kind": "PersistentVolumeClaim", "namespace": namespace, "name": name});
    volume["spec"]["accessModes"] = json!([mode]);
    (spec["storageClassName"], spec["volumeName"]) = (class.into(), bound.into());
    metadata["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
    let phase = if draw.chance(4) { "Lost" } else { "Bound" };
    let claim =
        Item::new(path, json!({"metadata": metadata, "spec": spec})).with_status(json!({"phase": phase}));
    let volume = Item::new(VOLUMES, volume).with_status(json!({"phase": "Bound"}));
    if draw.chance(4) { vec![claim] } else { vec![volume, claim] }
}

fn capacity(draw: &mut Draw, at: usize) -> Item {
    let object = json!({"metadata": {"name": format!("capacity-{at}"), "namespace": "n0"},
        "storageClassName": draw.one(&["wait", "bounded"]), "capacity": draw.one(&["0", "3Gi", "50Gi"]),
        "nodeTopology": {"matchLabels": {ZONE: draw.one(ZONES)}}});
    Item::new("/apis/storage.k8s.io/v1/namespaces/n0/csistoragecapacities", object)
}

/// Gives a pod volumes.
pub(super) fn mount(draw: &mut Draw, spec: &mut Value) {
    if draw.chance(25) {
        return;
    }
    let mut volumes = vec![
        json!({"name": "v0", "persistentVolumeClaim": {"claimName": format!("claim-{}", draw.below(CLAIMS))}}),
    ];
    if draw.chance(25) {
        let claim = json!({"claimName": format!("claim-{}", draw.below(CLAIMS))});
        volumes.push(json!({"name": "v1", "persistentVolumeClaim": claim}));
    }
    match draw.below(12) {
        0 => volumes.push(json!({"name": "v2", "gcePersistentDisk": {"pdName": draw.one(&["d0", "d1"]), "readOnly": draw.chance(40)}})),
        1 => volumes.push(json!({"name": "v2", "awsElasticBlockStore": {"volumeID": draw.one(&["e0", "e1"])}})),
        2 => volumes.push(json!({"name": "v2", "rbd": {"monitors": ["m"], "image": draw.one(&["i0", "i1"]), "readOnly": draw.chance(30)}})),
        3 => volumes.push(json!({"name": "v2", "iscsi": {"targetPortal": "p", "iqn": draw.one(&["iqn.2001-04.com.example:a", "iqn.2001-04.com.example:b"]), "lun": 0}})),
        4 => {
            let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "wait",
                "resources": {"requests": {"storage": "1Gi"}}}});
            volumes.push(json!({"name": "v2", "ephemeral": {"volumeClaimTemplate": template}}));
        }
        5 => volumes.push(json!({"name": "v2", "csi": {"driver": DRIVER}})),
        6 => volumes.push(json!({"name": "v2", "emptyDir": {}})),
        _ => {}
    }
    spec["volumes"] = volumes.into();
}
