use std::sync::Arc;

use serde_json::{Value, json};

use super::InterPodAffinity;
use crate::framework::{ClusterEvent, Cycle, Filter, Hint, QueueingHints, Score};
use crate::{NodeInfo, PodInfo, Snapshot, testing};

fn pod(name: &str, labels: Value, affinity: Value) -> PodInfo {
    testing::pod(name, json!({"metadata": {"labels": labels}, "spec": {"affinity": affinity}}))
}

fn node(name: &str, labels: Value) -> Arc<NodeInfo> {
    Arc::new(testing::node(name, json!({"metadata": {"labels": labels}})))
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
    snapshot.upsert_namespace("red", [("team".to_owned(), "red".to_owned())].into());
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
    // What is required of the one counts against what the other prefers.
    let both = [(bound.clone(), "c"), (fond("f"), "a")];
    for (weight, expected) in [(20, [50, 50, 100, 0]), (5, [100, 100, 50, 0])] {
        let args = json!({"hardPodAffinityWeight": weight});
        check(InterPodAffinity::from_args(&args).unwrap(), &both, &web(), Some(expected));
    }
    let ignored = json!({"ignorePreferredTermsOfExistingPods": true});
    assert_eq!(InterPodAffinity::from_args(&ignored).unwrap(), ignoring);
    check(InterPodAffinity { hard_pod_affinity_weight: 0, ..plugin }, &[(bound, "c")], &web(), None);
}

#[test]
fn terms_name_namespaces_and_the_pods_own_labels() {
    const NO: &str = "node(s) didn't match pod affinity rules";
    const ANTI: &str = "node(s) didn't match pod anti-affinity rules";
    let in_namespace = |name: &str, namespace: &str, labels: Value| {
        let metadata = json!({"namespace": namespace, "labels": labels});
        testing::pod(name, json!({"metadata": metadata}))
    };
    let web = |namespace: &str| in_namespace("web", namespace, json!({"app": "web", "rev": "1"}));
    let with = |kind: &str, extra: Value| {
        let mut affinity = required("web");
        let term = &mut affinity["requiredDuringSchedulingIgnoredDuringExecution"][0];
        testing::merge(term, extra);
        pod("p", json!({"app": "p", "rev": "2"}), json!({kind: affinity}))
    };
    let near = |extra: Value| with("podAffinity", extra);
    // Its own namespace unless the term names others, by name or by label.
    check(&[(web("other"), "c")], &near(json!({})), [NO; 4]);
    check(&[(web("other"), "c")], &near(json!({"namespaces": ["other"]})), [NO, NO, "", NO]);
    check(&[(web("ns"), "c")], &near(json!({"namespaces": ["other"]})), [NO; 4]);
    check(&[(web("other"), "c")], &near(json!({"namespaceSelector": {}})), [NO, NO, "", NO]);
    let red = json!({"namespaceSelector": {"matchLabels": {"team": "red"}}});
    check(&[(web("red"), "c")], &near(red.clone()), [NO, NO, "", NO]);
    check(&[(web("other"), "c")], &near(red), [NO; 4]);
    // Keys take the value from the pod itself, and demand the same or a different one.
    check(&[(web("ns"), "c")], &near(json!({"matchLabelKeys": ["rev"]})), [NO; 4]);
    check(&[(web("ns"), "c")], &near(json!({"mismatchLabelKeys": ["rev"]})), [NO, NO, "", NO]);
    let far = |extra: Value| with("podAntiAffinity", extra);
    check(&[(web("ns"), "c")], &far(json!({"matchLabelKeys": ["rev"]})), [""; 4]);
    check(&[(web("ns"), "c")], &far(json!({"mismatchLabelKeys": ["rev"]})), ["", "", ANTI, ""]);
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
