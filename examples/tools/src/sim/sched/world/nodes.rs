//! Nodes.

use serde_json::{Value, json};

use super::draw::Draw;
use super::{HOST, IMAGES, Item, REGION, ZONE, ZONES};

/// The node with this number.
pub(super) fn node(draw: &mut Draw, at: usize) -> Item {
    let name = format!("node-{at}");
    let mut labels = draw.fields(&[
        (ZONE, 90, ZONES),
        (REGION, 50, &["r0", "r1"]),
        ("disk", 60, &["ssd", "hdd"]),
        ("gen", 50, &["1", "3", "5", "7", "x"]),
    ]);
    if draw.chance(93) {
        labels[HOST] = name.as_str().into();
    }
    let allocatable = allocatable(draw);
    let images: Vec<_> = draw.some(IMAGES, 40).into_iter().map(|name| image(draw, name)).collect();
    let unschedulable = draw.chance(7);
    // Admission taints a new node until its kubelet says that it is ready.
    let taints = if draw.chance(35) { draw.few(2, taint) } else { Value::Null };
    let object = json!({"metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": unschedulable},
        "status": {"capacity": allocatable, "allocatable": allocatable, "images": images}});
    let spec = Some(json!({"taints": distinct(taints)}));
    Item { spec, ..Item::new("/api/v1/nodes", object) }
}

fn allocatable(draw: &mut Draw) -> Value {
    let mut allocatable = draw.fields(&[
        ("cpu", 100, &["1", "2", "4", "8", "1500m", "3900m"]),
        ("memory", 100, &["1Gi", "2Gi", "4Gi", "8Gi", "4000000k", "3999999999"]),
        ("pods", 100, &["2", "4", "8", "110", "110"]),
        ("ephemeral-storage", 80, &["10Gi", "100Gi"]),
        ("example.com/gpu", 30, &["0", "1", "4"]),
        ("hugepages-2Mi", 20, &["0", "64Mi"]),
    ]);
    if draw.chance(3) {
        allocatable["cpu"] = "0".into();
    }
    allocatable
}

fn image(draw: &mut Draw, name: &str) -> Value {
    let full = if name.rfind(':') > name.rfind('/') { name.to_owned() } else { format!("{name}:latest") };
    json!({"names": [full], "sizeBytes": draw.number(&[1_000_000, 30_000_000, 400_000_000, 900_000_001, 3_000_000_000])})
}

fn taint(draw: &mut Draw) -> Value {
    json!({
        "key": draw.one(&["dedicated", "flaky", "node.kubernetes.io/not-ready", "size"]),
        "value": draw.one(&["", "a", "b", "10"]),
        "effect": draw.one(&["NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute"]),
    })
}

/// No two taints of a node have the same key and effect.
fn distinct(taints: Value) -> Value {
    let Value::Array(mut list) = taints else { return taints };
    list.dedup_by_key(|taint| format!("{}{}", taint["key"], taint["effect"]));
    list.into()
}
