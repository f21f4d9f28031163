use std::sync::Arc;

use serde_json::{Value, json};

use super::NodeResourcesFit;
use crate::framework::{Cycle, Filter, Score};
use crate::{PodInfo, Snapshot, testing};

fn pod(requests: Value) -> PodInfo {
    testing::pod("p", json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}))
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::new();
    let allocatable = json!({"cpu": "10", "memory": "1000", "pods": "10", "example.com/gpu": "4"});
    snapshot.upsert_node(Arc::new(testing::node("n", json!({"status": {"allocatable": allocatable}}))));
    snapshot
}

fn parse(args: Value) -> Result<NodeResourcesFit, String> {
    NodeResourcesFit::from_args(&args).map_err(|error| error.to_string())
}

#[track_caller]
fn check_score(strategy: Value, requests: Value, expected: i64) {
    let (plugin, snapshot, pod) =
        (parse(json!({"scoringStrategy": strategy})).unwrap(), snapshot(), pod(requests));
    let nodes = [snapshot.node("n").unwrap().id()];
    let mut scores = [0];
    let mut score = Score::compile(&plugin, &Cycle { snapshot: &snapshot, pod: &pod }, &nodes).unwrap();
    score.score(&nodes, &mut scores);
    assert_eq!(scores[0], expected, "{strategy}");
}

#[test]
fn the_score_does_not_see_what_a_waiting_pod_requests_as_a_whole() {
    let containers = json!([{"name": "c"}, {"name": "d", "resources": {"requests": {"cpu": "1"}}}]);
    let spec =
        json!({"containers": containers, "resources": {"requests": {"cpu": "4"}}, "overhead": {"cpu": "1"}});
    let (mut snapshot, pod) = (snapshot(), testing::pod("p", json!({"spec": spec})));
    let args = json!({"type": "MostAllocated", "resources": [{"name": "cpu"}]});
    let plugin = parse(json!({"scoringStrategy": args})).unwrap();
    let nodes = [snapshot.node("n").unwrap().id()];
    for expected in [21, 71] {
        let mut scores = [0];
        let mut score = Score::compile(&plugin, &Cycle { snapshot: &snapshot, pod: &pod }, &nodes).unwrap();
        score.score(&nodes, &mut scores);
        drop(score);
        assert_eq!(scores[0], expected);
        // That of a pod which is there counts.
        snapshot.assume(&testing::pod("q", json!({"spec": spec})), &"n".into());
    }
}

#[test]
fn strategies() {
    let requests = || json!({"cpu": "4", "memory": "200"});
    check_score(json!({"type": "LeastAllocated"}), requests(), 70);
    check_score(json!({"type": "MostAllocated"}), requests(), 30);
    let weighted = json!([{"name": "cpu", "weight": 3}, {"name": "memory"}]);
    check_score(json!({"type": "MostAllocated", "resources": weighted}), requests(), 35);
    let gpus = json!([{"name": "example.com/gpu"}, {"name": "cpu"}]);
    check_score(json!({"type": "MostAllocated", "resources": gpus}), requests(), 40);
    let asking = json!({"cpu": "4", "memory": "200", "example.com/gpu": "3"});
    check_score(json!({"type": "MostAllocated", "resources": gpus}), asking, 57);
    let shape = |points: &[(i64, i64)]| {
        let points: Vec<_> = points.iter().map(|(u, s)| json!({"utilization": u, "score": s})).collect();
        json!({"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": points}})
    };
    check_score(shape(&[(0, 0), (100, 10)]), requests(), 30);
    check_score(shape(&[(0, 10), (100, 0)]), requests(), 70);
    check_score(shape(&[(0, 0), (40, 10), (50, 0)]), requests(), 75);
    check_score(shape(&[(30, 0), (50, 10)]), requests(), 50);
    // The shape is applied to each resource of its own list, by weight: 75 % of the devices, 40 % of the cores.
    let mut listed = shape(&[(0, 0), (100, 10)]);
    listed["resources"] = json!([{"name": "example.com/gpu", "weight": 3}, {"name": "cpu"}]);
    check_score(listed, json!({"cpu": "4", "example.com/gpu": "3"}), 66);
    // A shape that is given to another strategy changes nothing, as upstream has it.
    let mut other = shape(&[(0, 0), (100, 10)]);
    other["type"] = json!("MostAllocated");
    check_score(other, requests(), 30);
}

#[test]
fn ignored_resources() {
    let verdict = |args: Value, requests: Value| {
        let (plugin, snapshot, pod) = (parse(args).unwrap(), snapshot(), pod(requests));
        let mut filter = Filter::compile(&plugin, &Cycle { snapshot: &snapshot, pod: &pod }).unwrap();
        filter.check(snapshot.node("n").unwrap()).map_or_else(|status| status.message(), |()| String::new())
    };
    let foreign = || json!({"example.com/gpu": "5", "other.com/fpga": "1"});
    assert_eq!(verdict(json!({}), foreign()), "Insufficient example.com/gpu, Insufficient other.com/fpga");
    assert_eq!(
        verdict(json!({"ignoredResources": ["example.com/gpu"]}), foreign()),
        "Insufficient other.com/fpga"
    );
    let both = json!({"ignoredResources": ["example.com/gpu"], "ignoredResourceGroups": ["other.com"]});
    assert_eq!(verdict(both, foreign()), "");
    assert_eq!(verdict(json!({"ignoredResources": ["cpu"]}), json!({"cpu": "11"})), "Insufficient cpu");
}
