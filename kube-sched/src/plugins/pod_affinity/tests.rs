use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, from_value, json};

use super::InterPodAffinity;
use crate::framework::{ClusterEvent, Cycle, Filter, Hint, QueueingHints, Score};
use crate::{NodeInfo, PodInfo, Snapshot};

fn pod(name: &str, labels: Value, affinity: Value) -> PodInfo {
    let object = json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "labels": labels},
        "spec": {"containers": [{"name": "c"}], "affinity": affinity}});
    PodInfo::parse(from_value::<Pod>(object).unwrap()).unwrap()
}

fn node(name: &str, labels: Value) -> Arc<NodeInfo> {
    Arc::new(
        NodeInfo::parse(&from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()).unwrap(),
    )
}

/// Nodes `a` and `b` in zone 1, `c` in zone 2, `d` in none.
fn zones() -> Snapshot {
    let mut snapshot = Snapshot::new();
    for (name, labels) in [
        ("a", json!({"zone": "1"})),
        ("b", json!({"zone": "1"})),
        ("c", json!({"zone": "2"})),
        ("d", json!({})),
    ] {
        snapshot.upsert_node(node(name, labels));
    }
    snapshot
}

fn required(app: &str) -> Value {
    json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "zone"}]})
}

fn preferred(app: &str, weight: i32) -> Value {
    json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": weight, "podAffinityTerm": {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "zone"}}]})
}

/// The verdicts on the four nodes, by their last words.
#[track_caller]
fn check(placed: &[(PodInfo, &str)], pod: &PodInfo, expected: [&str; 4]) {
    let mut snapshot = zones();
    placed.iter().for_each(|(pod, node)| snapshot.assume(pod, &(*node).into()));
    let plugin = InterPodAffinity::default();
    let mut filter = Filter::compile(&plugin, &Cycle { snapshot: &snapshot, pod });
    let found = ["a", "b", "c", "d"].map(|name| {
        let view = snapshot.node(name).unwrap();
        let verdict = filter.as_mut().map_or(Ok(()), |filter| filter.check(view));
        verdict.map_or_else(|status| status.message(), |()| String::new())
    });
    assert_eq!(found, expected);
}

#[test]
fn required_terms() {
    const NO: &str = "node(s) didn't match pod affinity rules";
    const ANTI: &str = "node(s) didn't match pod anti-affinity rules";
    const EXISTING: &str = "node(s) didn't satisfy existing pods anti-affinity rules";
    let web = || pod("web", json!({"app": "web"}), json!({}));
    let near = pod("p", json!({"app": "p"}), json!({"podAffinity": required("web")}));
    check(&[], &near, [NO; 4]);
    check(&[(web(), "a")], &near, ["", "", NO, NO]);
    check(&[(web(), "d")], &near, [NO; 4]);
    let own = pod("p", json!({"app": "p"}), json!({"podAffinity": required("p")}));
    check(&[], &own, ["", "", "", NO]);
    check(&[(pod("q", json!({"app": "p"}), json!({})), "c")], &own, [NO, NO, "", NO]);
    let far = pod("p", json!({"app": "p"}), json!({"podAntiAffinity": required("web")}));
    check(&[(web(), "b")], &far, [ANTI, ANTI, "", ""]);
    let loner = pod("loner", json!({"app": "loner"}), json!({"podAntiAffinity": required("web")}));
    check(&[(loner, "c")], &web(), ["", "", EXISTING, ""]);
}

#[test]
fn preferences() {
    let check =
        |plugin: InterPodAffinity, placed: &[(PodInfo, &str)], pod: &PodInfo, expected: Option<[i64; 4]>| {
            let mut snapshot = zones();
            placed.iter().for_each(|(pod, node)| snapshot.assume(pod, &(*node).into()));
            let nodes = ["a", "b", "c", "d"].map(|name| snapshot.node(name).unwrap().id());
            let found =
                Score::compile(&plugin, &Cycle { snapshot: &snapshot, pod }, &nodes).map(|mut score| {
                    let mut scores = [0; 4];
                    score.score(&nodes, &mut scores);
                    score.normalize(&mut scores);
                    scores
                });
            assert_eq!(found, expected);
        };
    let (plugin, web) = (InterPodAffinity::default(), || pod("web", json!({"app": "web"}), json!({})));
    let fond = |name: &str| pod(name, json!({"app": "fond"}), json!({"podAffinity": preferred("web", 10)}));
    let averse = pod("p", json!({"app": "p"}), json!({"podAntiAffinity": preferred("web", 10)}));
    check(plugin, &[(web(), "a")], &fond("p"), Some([100, 100, 0, 0]));
    check(plugin, &[(web(), "a")], &averse, Some([0, 0, 100, 100]));
    check(plugin, &[(fond("q"), "c")], &web(), Some([0, 0, 100, 0]));
    let ignoring = InterPodAffinity { ignore_preferred_terms_of_existing_pods: true, ..plugin };
    check(ignoring, &[(fond("q"), "c")], &web(), None);
    let bound = pod("q", json!({}), json!({"podAffinity": required("web")}));
    check(plugin, &[(bound.clone(), "c")], &web(), Some([0, 0, 100, 0]));
    check(InterPodAffinity { hard_pod_affinity_weight: 0, ..plugin }, &[(bound, "c")], &web(), None);
}

#[test]
fn arguments() {
    let parse = |args: Value| InterPodAffinity::from_args(&args).map_err(|error| error.to_string());
    assert_eq!(parse(Value::Null), Ok(InterPodAffinity::default()));
    assert_eq!(parse(json!({"hardPodAffinityWeight": 7})).unwrap().hard_pod_affinity_weight, 7);
    for (args, reason) in [
        (json!({"hardPodAffinityWeight": 101}), "hardPodAffinityWeight must be from 0 to 100"),
        (json!({"hardPodAffinity": 1}), "unknown field \"hardPodAffinity\""),
        (json!([]), "not an object"),
    ] {
        let expected = format!("invalid arguments for plugin InterPodAffinity: {reason}");
        assert_eq!(parse(args), Err(expected));
    }
}

#[test]
fn hints() {
    let near = pod("p", json!({"app": "p"}), json!({"podAffinity": required("web")}));
    let far = pod("p", json!({"app": "p"}), json!({"podAntiAffinity": required("web")}));
    let web = || Arc::new(pod("web", json!({"app": "web"}), json!({})));
    let other = || Arc::new(pod("other", json!({"app": "other"}), json!({})));
    let updated = |old, new| ClusterEvent::NodeUpdated { old: node("n", old), new: node("n", new) };
    for (pod, event, expected) in [
        (&near, ClusterEvent::PodPlaced(web()), Hint::Queue),
        (&near, ClusterEvent::PodPlaced(other()), Hint::Skip),
        (&near, ClusterEvent::PodRemoved(web()), Hint::Skip),
        (&far, ClusterEvent::PodRemoved(web()), Hint::Queue),
        (&far, ClusterEvent::PodRemoved(other()), Hint::Skip),
        (&far, ClusterEvent::PodPlaced(web()), Hint::Skip),
        (&far, ClusterEvent::PlacedPodUpdated { old: web(), new: other() }, Hint::Queue),
        (&near, ClusterEvent::PlacedPodUpdated { old: other(), new: web() }, Hint::Queue),
        (&near, ClusterEvent::NodeAdded(node("n", json!({}))), Hint::Skip),
        (&near, ClusterEvent::NodeAdded(node("n", json!({"zone": "1"}))), Hint::Queue),
        (&near, updated(json!({"zone": "1"}), json!({"zone": "2"})), Hint::Queue),
        (&near, updated(json!({"zone": "1"}), json!({"zone": "1"})), Hint::Skip),
        (&near, ClusterEvent::Unknown, Hint::Queue),
    ] {
        assert_eq!(InterPodAffinity::default().hint(pod, &event), expected, "{event:?}");
    }
}
