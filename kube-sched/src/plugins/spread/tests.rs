use std::sync::Arc;

use serde_json::{Value, from_value, json};

use super::PodTopologySpread;
use crate::framework::{ClusterEvent, Cycle, Filter, Hint, QueueingHints, Score};
use crate::snapshot::SelectingKind;
use crate::{NodeInfo, PodInfo, Snapshot, testing};

fn pod(name: &str, spec: Value) -> PodInfo {
    testing::pod(name, json!({"metadata": {"labels": {"app": "web", "rev": "1"}}, "spec": spec}))
}

fn node(name: &str, labels: Value) -> Arc<NodeInfo> {
    Arc::new(testing::node(name, json!({"metadata": {"labels": labels}})))
}

/// Nodes `a` and `b` in zone 1, `c` in zone 2, `d` in none; each names its host.
fn zones() -> Snapshot {
    let mut snapshot = Snapshot::new();
    for (name, zone) in [("a", Some("1")), ("b", Some("1")), ("c", Some("2")), ("d", None)] {
        let mut labels = json!({"kubernetes.io/hostname": name});
        if let Some(zone) = zone {
            labels["topology.kubernetes.io/zone"] = json!(zone);
        }
        snapshot.upsert_node(node(name, labels));
    }
    snapshot
}

fn constraint(extra: Value) -> Value {
    let mut constraint = json!({"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}});
    for (key, value) in extra.as_object().into_iter().flatten() {
        constraint[key] = value.clone();
    }
    json!({"topologySpreadConstraints": [constraint]})
}

fn place(snapshot: &mut Snapshot, nodes: &[&str]) {
    for (number, node) in nodes.iter().enumerate() {
        snapshot.assume(&pod(&format!("placed{number}"), json!({})), &(*node).into());
    }
}

#[test]
fn skew_is_limited() {
    const MISSING: &str = "node(s) didn't match pod topology spread constraints (missing required label)";
    const SKEW: &str = "node(s) didn't match pod topology spread constraints";
    let check = |placed: &[&str], spec: Value, expected: [&str; 4]| {
        let (mut snapshot, plugin, pod) = (zones(), PodTopologySpread::default(), pod("p", spec.clone()));
        place(&mut snapshot, placed);
        let mut filter = Filter::compile(&plugin, &Cycle { snapshot: &snapshot, pod: &pod }).unwrap();
        let found = ["a", "b", "c", "d"].map(|name| {
            filter
                .check(snapshot.node(name).unwrap())
                .map_or_else(|status| status.message(), |()| String::new())
        });
        assert_eq!(found, expected, "{placed:?} {spec}");
    };
    check(&[], constraint(json!({})), ["", "", "", MISSING]);
    check(&["a"], constraint(json!({})), [SKEW, SKEW, "", MISSING]);
    check(&["a"], constraint(json!({"maxSkew": 2})), ["", "", "", MISSING]);
    check(&["a", "c"], constraint(json!({})), ["", "", "", MISSING]);
    check(&["a", "c"], constraint(json!({"minDomains": 3})), [SKEW, SKEW, SKEW, MISSING]);
    check(&["d"], constraint(json!({})), ["", "", "", MISSING]);
    check(
        &["a"],
        constraint(json!({"labelSelector": {"matchLabels": {"app": "db"}}})),
        ["", "", "", MISSING],
    );
    let mut picky = constraint(json!({"maxSkew": 2}));
    picky["nodeSelector"] = json!({"topology.kubernetes.io/zone": "1"});
    check(&["a", "b", "a"], picky.clone(), ["", "", "", MISSING]);
    picky["topologySpreadConstraints"][0]["nodeAffinityPolicy"] = json!("Ignore");
    check(&["a", "b", "a"], picky, [SKEW, SKEW, "", MISSING]);
    check(&["a"], constraint(json!({"matchLabelKeys": ["rev", "unset"]})), [SKEW, SKEW, "", MISSING]);
}

#[test]
fn taints_and_revisions_can_leave_nodes_and_pods_out_of_the_count() {
    let verdict = |spec: Value, placed: Value| {
        let mut snapshot = zones();
        let taint = json!({"key": "k", "effect": "NoSchedule"});
        let labels = json!({"kubernetes.io/hostname": "c", "topology.kubernetes.io/zone": "2"});
        let tainted = json!({"metadata": {"labels": labels}, "spec": {"taints": [taint]}});
        snapshot.upsert_node(Arc::new(testing::node("c", tainted)));
        let placed = testing::pod("placed", json!({"metadata": {"labels": placed}}));
        snapshot.assume(&placed, &"a".into());
        let (plugin, pod) = (PodTopologySpread::default(), pod("p", spec));
        let mut filter = Filter::compile(&plugin, &Cycle { snapshot: &snapshot, pod: &pod }).unwrap();
        filter.check(snapshot.node("b").unwrap()).is_ok()
    };
    let same = || json!({"app": "web", "rev": "1"});
    assert!(!verdict(constraint(json!({})), same()), "zone 2 is emptier, though nobody can go there");
    assert!(verdict(constraint(json!({"nodeTaintsPolicy": "Honor"})), same()), "zone 1 is the only one");
    let mut tolerant = constraint(json!({"nodeTaintsPolicy": "Honor"}));
    tolerant["tolerations"] = json!([{"operator": "Exists"}]);
    assert!(!verdict(tolerant, same()));
    let older = || json!({"app": "web", "rev": "0"});
    assert!(!verdict(constraint(json!({})), older()));
    assert!(verdict(constraint(json!({"matchLabelKeys": ["rev"]})), older()), "only its own revision counts");
}

fn scores(plugin: &PodTopologySpread, snapshot: &Snapshot, pod: &PodInfo) -> Option<[i64; 4]> {
    let nodes = ["a", "b", "c", "d"].map(|name| snapshot.node(name).unwrap().id());
    let mut score = Score::compile(plugin, &Cycle { snapshot, pod }, &nodes)?;
    let mut scores = [0; 4];
    score.score(&nodes, &mut scores);
    score.normalize(&mut scores);
    Some(scores)
}

#[test]
fn emptier_domains_score_more() {
    let plugin = PodTopologySpread::default();
    let mut snapshot = zones();
    let soft = pod("p", constraint(json!({"whenUnsatisfiable": "ScheduleAnyway"})));
    assert_eq!(scores(&plugin, &snapshot, &soft), Some([100, 100, 100, 0]));
    place(&mut snapshot, &["a", "a", "c"]);
    assert_eq!(scores(&plugin, &snapshot, &soft), Some([33, 33, 100, 0]));
    assert_eq!(scores(&plugin, &snapshot, &pod("p", json!({}))), None);
}

#[test]
fn pods_of_a_service_are_spread_by_default() {
    let mut snapshot = zones();
    let selector = from_value(json!({"matchLabels": {"app": "web"}})).unwrap();
    snapshot.upsert_selecting(SelectingKind::Service, "ns", "web", Some(&selector));
    place(&mut snapshot, &["a", "c"]);
    let (plain, plugin) = (pod("p", json!({})), PodTopologySpread::default());
    let by_default = scores(&plugin, &snapshot, &plain).unwrap();
    // The node outside of the zones counts as a third zone where it is decided how much zones weigh.
    assert_eq!(by_default, [22, 33, 22, 100]);
    assert!(snapshot.default_constraints(&plain).iter().all(|c| snapshot.counts(&c.by_domain()).is_some()));
    let args = json!({"defaultingType": "List", "defaultConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}]});
    let listed = PodTopologySpread::from_args(&args).unwrap();
    assert_eq!(scores(&listed, &snapshot, &plain), Some([0, 100, 0, 100]));
    let hard = json!({"defaultingType": "List", "defaultConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3}]});
    let hard = PodTopologySpread::from_args(&hard).unwrap();
    let mut filter = Filter::compile(&hard, &Cycle { snapshot: &snapshot, pod: &plain }).unwrap();
    let verdicts = ["a", "c", "d"].map(|name| filter.check(snapshot.node(name).unwrap()).is_ok());
    drop(filter);
    assert_eq!(verdicts, [false; 3], "there are too few zones and no label");
    let own = pod("p", constraint(json!({"whenUnsatisfiable": "ScheduleAnyway"})));
    assert!(Filter::compile(&hard, &Cycle { snapshot: &snapshot, pod: &own }).is_none(), "its own count");
    snapshot.remove_selecting(SelectingKind::Service, "ns", "web");
    assert_eq!(scores(&plugin, &snapshot, &plain), None);
}

#[test]
fn hints() {
    let waiting = pod("p", constraint(json!({})));
    let zone = |zone: &str| node("n", json!({"topology.kubernetes.io/zone": zone}));
    let other = || Arc::new(pod("other", json!({})));
    for (event, expected) in [
        (ClusterEvent::PodRemoved(other()), Hint::Queue),
        (ClusterEvent::PodPlaced(other()), Hint::Queue),
        (ClusterEvent::PlacedPodUpdated { old: other(), new: other() }, Hint::Skip),
        (ClusterEvent::NodeAdded(zone("1")), Hint::Queue),
        (ClusterEvent::NodeAdded(node("n", json!({}))), Hint::Skip),
        (ClusterEvent::NodeUpdated { old: zone("1"), new: zone("2") }, Hint::Queue),
        (ClusterEvent::NodeUpdated { old: zone("1"), new: zone("1") }, Hint::Skip),
        (ClusterEvent::Unknown, Hint::Queue),
    ] {
        assert_eq!(PodTopologySpread::default().hint(&waiting, &event), expected, "{event:?}");
    }
}
