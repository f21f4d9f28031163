use super::health::{self, probe};
use super::pace::{Eviction, Pace};
use super::taints::{Drive, wanted};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn at(time: &str) -> Timestamp {
    format!("2026-01-01T{time}Z").parse().unwrap()
}

fn node(conditions: &[(&str, &str)], taints: Value) -> Node {
    let conditions: Vec<Value> =
        conditions.iter().map(|(type_, status)| json!({"type": type_, "status": status})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"taints": taints},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

#[test]
fn taints_follow_conditions_and_leave_those_of_others() {
    let check = |conditions: &[(&str, &str)], drive, before: &[(&str, &str)], expected: Option<&[&str]>| {
        let taints: Vec<Value> =
            before.iter().map(|(key, effect)| json!({"key": key, "effect": effect})).collect();
        let found = wanted(&node(conditions, taints.into()), drive, at("00:10:00"));
        let found =
            found.map(|taints| taints.iter().map(|t| format!("{}:{}", t.key, t.effect)).collect::<Vec<_>>());
        let expected = expected.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expected, "{conditions:?} {drive:?} {before:?}");
    };
    let (unreachable, not_ready) = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready");
    let no_schedule = "node.kubernetes.io/unreachable:NoSchedule";
    let no_execute = "node.kubernetes.io/unreachable:NoExecute";
    check(&[("Ready", "True")], Drive::Follow, &[], None);
    check(&[("Ready", "Unknown")], Drive::Follow, &[], Some(&[no_schedule, no_execute]));
    check(&[("Ready", "Unknown")], Drive::Hold, &[], Some(&[no_schedule]));
    check(
        &[("Ready", "Unknown")],
        Drive::Release,
        &[(unreachable, "NoSchedule"), (unreachable, "NoExecute")],
        Some(&[no_schedule]),
    );
    check(
        &[("Ready", "Unknown")],
        Drive::Hold,
        &[(unreachable, "NoSchedule"), (unreachable, "NoExecute")],
        None,
    );
    check(
        &[("Ready", "True")],
        Drive::Hold,
        &[("mine", "NoExecute"), (not_ready, "NoExecute")],
        Some(&["mine:NoExecute"]),
    );
    check(
        &[("Ready", "True"), ("DiskPressure", "True")],
        Drive::Follow,
        &[],
        Some(&["node.kubernetes.io/disk-pressure:NoSchedule"]),
    );
}

#[test]
fn any_new_heartbeat_counts() {
    let lease = |renewed: &str| {
        serde_json::from_value(
            json!({"metadata": {}, "spec": {"renewTime": format!("2026-01-01T{renewed}.000000Z")}}),
        )
        .unwrap()
    };
    let node = node(&[("Ready", "True")], json!([]));
    let first = probe(None, &node, Some(&lease("00:00:10")), at("00:01:00"));
    let same = probe(Some(&first), &node, Some(&lease("00:00:10")), at("00:01:30"));
    assert_eq!(same.at, at("00:01:00"), "the same renewal is no sign of life, however the clocks stand");
    let grace = Duration::from_secs(40);
    assert!(!health::is_silent(&node, &same, grace, at("00:01:40")));
    assert!(health::is_silent(&node, &same, grace, at("00:01:41")));
    let renewed = probe(Some(&same), &node, Some(&lease("00:00:20")), at("00:01:41"));
    assert!(!health::is_silent(&node, &renewed, grace, at("00:02:21")));
}

#[test]
fn a_node_that_never_reported_gets_a_minute() {
    let node = node(&[], json!([]));
    let first = probe(None, &node, None, at("00:00:30"));
    assert!(!health::is_silent(&node, &first, Duration::from_secs(40), at("00:01:00")));
    assert!(health::is_silent(&node, &first, Duration::from_secs(40), at("00:01:01")));
    let silenced = health::silenced(&node, at("00:01:01")).unwrap();
    assert_eq!(
        health::condition(&silenced, "Ready").unwrap().reason.as_deref(),
        Some("NodeStatusNeverUpdated")
    );
    assert_eq!(health::silenced(&silenced, at("00:02:00")), None);
}

#[test]
fn nodes_are_drained_one_in_ten_seconds_and_never_all() {
    let up = || Arc::new(node(&[("Ready", "True")], json!([])));
    let down = || Arc::new(node(&[("Ready", "Unknown")], json!([])));
    let mut pace = Pace::default();
    assert_eq!(pace.allow(&down(), &[down(), down()], at("00:00:00")), Eviction::Off);
    let some = [up(), up(), up(), down(), down()];
    assert_eq!(pace.allow(&down(), &some, at("00:00:00")), Eviction::Allowed);
    assert_eq!(pace.allow(&down(), &some, at("00:00:09")), Eviction::Later);
    assert_eq!(pace.allow(&down(), &some, at("00:00:10")), Eviction::Allowed);
    let most = [up(), down(), down(), down()];
    assert_eq!(pace.allow(&down(), &most, at("01:00:00")), Eviction::Later, "most of a small zone is down");
}
