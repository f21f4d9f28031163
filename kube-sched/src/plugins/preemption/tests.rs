use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, from_value, json};

use super::DefaultPreemption;
use crate::framework::{Preemption, Profile};
use crate::snapshot::Budget;
use crate::{Decision, PodInfo, Reuse, Snapshot, schedule, testing};

fn pod(name: &str, priority: i32, cpu: &str, extra: Value) -> PodInfo {
    let containers = json!([{"name": "c", "resources": {"requests": {"cpu": cpu}}}]);
    let mut object = json!({"metadata": {"labels": {"app": name.trim_end_matches(char::is_numeric)}},
        "spec": {"priority": priority, "containers": containers}});
    testing::merge(&mut object, extra);
    testing::pod(name, object)
}

/// A cluster of nodes with two cores and the pods `(name, priority, cpu, node)`.
fn cluster(nodes: &[&str], pods: &[(&str, i32, &str, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for name in nodes {
        let node = json!({"metadata": {"labels": {"zone": name}}, "status": {"allocatable": {"cpu": "2", "pods": "10"}}});
        snapshot.upsert_node(Arc::new(testing::node(name, node)));
    }
    for (name, priority, cpu, node) in pods {
        snapshot.assume(&pod(name, *priority, cpu, json!({})), &(*node).into());
    }
    snapshot
}

fn decide(snapshot: &Snapshot, pod: &PodInfo) -> Decision {
    schedule(snapshot, pod, &Profile::default(), &mut Rng::with_seed(3))
}

#[track_caller]
fn check(snapshot: &Snapshot, pod: &PodInfo, node: &str, victims: &[&str]) {
    let Preemption { node: found, victims: gone, .. } = decide(snapshot, pod).preemption.unwrap();
    let gone: Vec<_> = gone.iter().map(|key| key.trim_start_matches("ns/")).collect();
    assert_eq!((snapshot.view(found).name(), gone.as_slice()), (node, victims));
}

fn budget(app: &str, allowed: i32) -> Budget {
    Budget::parse(&from_value(json!({"metadata": {}, "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}})).unwrap())
}

#[test]
fn the_removal_that_harms_least_is_chosen() {
    let preemptor = pod("p", 100, "2", json!({}));
    // The most important victim counts before the sum, the sum before the number.
    check(
        &cluster(&["a", "b"], &[("x1", 5, "1", "a"), ("y1", 4, "1", "b"), ("y2", 4, "1", "b")]),
        &preemptor,
        "b",
        &["y1", "y2"],
    );
    check(
        &cluster(
            &["a", "b"],
            &[("x1", 5, "1", "a"), ("x2", 4, "1", "a"), ("y1", 5, "1", "b"), ("y2", 3, "1", "b")],
        ),
        &preemptor,
        "b",
        &["y1", "y2"],
    );
    check(
        &cluster(&["a", "b"], &[("x1", 5, "1", "a"), ("x2", -5, "1", "a"), ("y1", 5, "2", "b")]),
        &preemptor,
        "b",
        &["y1"],
    );
    // Only as many go as have to, the more important ones stay.
    let small = pod("p", 100, "1", json!({}));
    check(&cluster(&["a"], &[("x1", 5, "1", "a"), ("x2", 4, "1", "a")]), &small, "a", &["x2"]);
}

#[test]
fn younger_victims_are_preferred() {
    let mut snapshot = cluster(&["a", "b"], &[]);
    for (name, node, start) in [("old", "a", "2026-01-01T00:00:00Z"), ("young", "b", "2026-01-02T00:00:00Z")]
    {
        let victim = pod(name, 1, "2", json!({"status": {"startTime": start}}));
        snapshot.assume(&victim, &node.into());
    }
    check(&snapshot, &pod("p", 100, "1", json!({})), "b", &["young"]);
}

#[test]
fn budgets_are_spared_where_possible() {
    let mut snapshot = cluster(&["a", "b"], &[("x1", 1, "2", "a"), ("y1", 50, "2", "b")]);
    let preemptor = pod("p", 100, "1", json!({}));
    check(&snapshot, &preemptor, "a", &["x1"]);
    snapshot.upsert_budget("ns", "x", budget("x", 0));
    check(&snapshot, &preemptor, "b", &["y1"]);
    snapshot.upsert_budget("ns", "y", budget("y", 0));
    check(&snapshot, &preemptor, "a", &["x1"]);
    snapshot.upsert_budget("ns", "x", budget("x", 1));
    snapshot.remove_budget("ns", "y");
    check(&snapshot, &preemptor, "a", &["x1"]);
    // On one node the pod that a budget covers stays, though the other is more important.
    let mut snapshot = cluster(&["a"], &[("x1", 1, "1", "a"), ("y1", 50, "1", "a")]);
    snapshot.upsert_budget("ns", "x", budget("x", 0));
    check(&snapshot, &preemptor, "a", &["y1"]);
}

#[test]
fn what_is_known_of_a_node_holds_until_a_budget_or_nomination_changes() {
    let mut snapshot = cluster(&["a", "b"], &[("x1", 1, "2", "a"), ("y1", 50, "2", "b")]);
    let mut reuse = Reuse::default();
    let mut check = |snapshot: &Snapshot, name: &str, expected: Option<&str>| {
        let (pod, profile) = (pod(name, 100, "1", json!({"metadata": {"labels": {}}})), Profile::default());
        let decision = reuse.schedule(snapshot, &pod, &profile, &mut Rng::with_seed(3));
        assert_eq!(decision, decide(snapshot, &pod), "{name}: nothing is remembered wrongly");
        let node = decision.preemption.map(|way| snapshot.view(way.node).name());
        assert_eq!(node, expected, "{name}");
    };
    check(&snapshot, "p1", Some("a"));
    snapshot.upsert_budget("ns", "x", budget("x", 0));
    check(&snapshot, "p2", Some("b"));
    snapshot.remove_budget("ns", "x");
    check(&snapshot, "p3", Some("a"));
    // Both cores of a node are promised to others, who are as important.
    for (promised, node) in [("first", "a"), ("second", "a"), ("third", "b")] {
        snapshot.nominate(Arc::new(pod(promised, 100, "1", json!({}))), node.into());
    }
    check(&snapshot, "p4", Some("b"));
    check(&snapshot, "first", Some("a"));
    check(&snapshot, "p5", Some("b"));
    snapshot.nominate(Arc::new(pod("fourth", 100, "1", json!({}))), "b".into());
    check(&snapshot, "p6", None);
    snapshot.withdraw_nomination("ns/second");
    check(&snapshot, "p7", Some("a"));
}

#[test]
fn affinity_is_tried_out_too() {
    let anti = json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "zone"}]}}}});
    let snapshot = cluster(&["a"], &[("x1", 1, "100m", "a"), ("y1", 1, "100m", "a")]);
    let preemptor = pod("p", 100, "1", anti);
    check(&snapshot, &preemptor, "a", &["x1"]);
    assert_eq!(
        decide(&cluster(&["a"], &[("x1", 200, "100m", "a"), ("y1", 1, "100m", "a")]), &preemptor).message(),
        "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, preemption: 0/1 nodes are available: \
         1 node(s) didn't match pod anti-affinity rules."
    );
}

#[test]
fn room_that_is_being_made_is_left_alone() {
    let mut snapshot = cluster(&["a", "b"], &[("x1", 1, "2", "a"), ("y1", 1, "2", "b")]);
    let first = pod("first", 100, "2", json!({}));
    snapshot.nominate(Arc::new(first.clone()), "a".into());
    check(&snapshot, &pod("second", 100, "2", json!({})), "b", &["y1"]);
    // More important pods may take it.
    snapshot.upsert_budget("ns", "y", budget("y", 0));
    check(&snapshot, &pod("third", 101, "2", json!({})), "a", &["x1"]);
    snapshot.withdraw_nomination("ns/first");
    check(&snapshot, &pod("second", 100, "2", json!({})), "a", &["x1"]);
}

#[test]
fn a_pod_waits_for_its_own_victims() {
    let leaving = |reason: &str| {
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}})
    };
    let waiting = pod("p", 100, "2", json!({"status": {"nominatedNodeName": "a"}}));
    for (reason, waits) in [("PreemptionByScheduler", true), ("EvictionByEvictionAPI", false)] {
        let mut snapshot = cluster(&["a"], &[]);
        snapshot.assume(&pod("x1", 1, "2", leaving(reason)), &"a".into());
        let decision = decide(&snapshot, &waiting);
        assert_eq!(decision.preemption.is_none(), waits, "{reason}");
        let eligible =
            !decision.message().ends_with("not eligible due to a terminating pod on the nominated node.");
        assert_eq!(eligible, !waits, "{reason}");
    }
}

#[test]
fn a_share_of_the_nodes_is_tried_and_no_less_than_some() {
    let parse = |args: Value| DefaultPreemption::from_args(&args).map_err(|error| error.to_string());
    assert_eq!(parse(Value::Null), Ok(DefaultPreemption::default()));
    assert_eq!(parse(json!({"minCandidateNodesAbsolute": 7})).unwrap().enough(1000), 100);
    assert_eq!(DefaultPreemption::default().enough(50), 50);
    assert_eq!(
        parse(json!({"minCandidateNodesPercentage": 50, "minCandidateNodesAbsolute": 0}))
            .unwrap()
            .enough(1000),
        500
    );
}
