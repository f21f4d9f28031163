use serde_json::{Value, json};

use crate::framework::{ClusterEvent, Cycle, Hint, Plugin, Registry};
use crate::snapshot::GateView;
use crate::testing::{self, merge};
use crate::{NodeInfo, PodInfo, Snapshot};
use std::sync::Arc;

/// A small node, with two devices of a vendor.
fn node(name: &str, extra: Value) -> NodeInfo {
    let mut object = json!({"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10", "example.com/gpu": "2"}}});
    merge(&mut object, extra);
    testing::node(name, object)
}

fn pod(name: &str, spec: Value) -> PodInfo {
    testing::pod(name, json!({"spec": spec}))
}

fn requests(cpu: &str, memory: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]})
}

fn ports(list: &[(i32, &str, &str)]) -> Value {
    let ports: Vec<_> = list.iter().map(|(port, protocol, ip)| json!({"containerPort": 1, "hostPort": port, "protocol": protocol, "hostIP": ip})).collect();
    json!({"containers": [{"name": "c", "ports": ports}]})
}

fn plugin(name: &str) -> Arc<dyn Plugin> {
    Registry::default().build(name, &Value::Null).unwrap()
}

/// The plugin's verdict on a node with some pods: `""` is a yes, several reasons are joined by commas.
#[track_caller]
fn check_filter(name: &str, node: NodeInfo, placed: &[Value], spec: Value, expected: &str) {
    let (mut snapshot, node_name) = (Snapshot::new(), node.name.clone());
    let id = snapshot.upsert_node(Arc::new(node));
    for (number, spec) in placed.iter().enumerate() {
        snapshot.assume(&pod(&format!("placed{number}"), spec.clone()), &node_name);
    }
    let pod = pod("p", spec.clone());
    let plugin = plugin(name);
    let filter = plugin.as_filter().unwrap().compile(&Cycle { snapshot: &snapshot, pod: &pod });
    let verdict = filter.map_or(Ok(()), |mut filter| filter.check(snapshot.view(id)));
    assert_eq!(verdict.map_or_else(|status| status.message(), |()| String::new()), expected, "{spec}");
}

/// The normalised scores of some nodes; `None` when the plugin has no opinion.
#[track_caller]
fn check_score(name: &str, nodes: Vec<NodeInfo>, spec: Value, expected: Option<&[i64]>) {
    let mut snapshot = Snapshot::new();
    let ids: Vec<_> = nodes.into_iter().map(|node| snapshot.upsert_node(Arc::new(node))).collect();
    let pod = pod("p", spec.clone());
    let plugin = plugin(name);
    let scores = plugin.as_score().unwrap().compile(&Cycle { snapshot: &snapshot, pod: &pod }, &ids).map(
        |mut score| {
            let mut scores = vec![0; ids.len()];
            score.score(&ids, &mut scores);
            score.normalize(&mut scores);
            scores
        },
    );
    assert_eq!(scores.as_deref(), expected, "{spec}");
}

fn taints(list: &[(&str, &str, &str)]) -> Value {
    let taints: Vec<_> = list
        .iter()
        .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
        .collect();
    json!({"spec": {"taints": taints}})
}

#[test]
fn node_unschedulable() {
    let cordoned = || node("n", json!({"spec": {"unschedulable": true}}));
    check_filter("NodeUnschedulable", cordoned(), &[], json!({}), "node(s) were unschedulable");
    check_filter("NodeUnschedulable", node("n", json!({})), &[], json!({}), "");
    let tolerant =
        json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]});
    check_filter("NodeUnschedulable", cordoned(), &[], tolerant, "");
}

#[test]
fn node_name() {
    check_filter("NodeName", node("n", json!({})), &[], json!({"nodeName": "n"}), "");
    check_filter(
        "NodeName",
        node("n", json!({})),
        &[],
        json!({"nodeName": "m"}),
        "node(s) didn't match the requested node name",
    );
}

#[test]
fn taint_toleration() {
    let check = |list: &[(&str, &str, &str)], spec, expected: &str| {
        check_filter("TaintToleration", node("n", taints(list)), &[], spec, expected)
    };
    check(&[], json!({}), "");
    check(&[("a", "b", "NoSchedule")], json!({}), "node(s) had untolerated taint {a: b}");
    check(&[("a", "", "NoExecute")], json!({}), "node(s) had untolerated taint {a: }");
    check(&[("a", "b", "PreferNoSchedule")], json!({}), "");
    let spec = json!({"tolerations": [{"key": "a", "operator": "Exists"}]});
    check(
        &[("a", "b", "NoSchedule"), ("c", "d", "NoSchedule")],
        spec,
        "node(s) had untolerated taint {c: d}",
    );
    let soft = |n: usize| {
        node(&format!("n{n}"), taints(&[("a", "", "PreferNoSchedule"), ("b", "", "PreferNoSchedule")][..n]))
    };
    check_score("TaintToleration", vec![soft(0), soft(1), soft(2)], json!({}), Some(&[100, 50, 0]));
    let spec = json!({"tolerations": [{"operator": "Exists"}]});
    check_score("TaintToleration", vec![soft(0), soft(2)], spec, Some(&[100, 100]));
}

fn affinity(required: Value, preferred: Value) -> Value {
    json!({"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": required},
        "preferredDuringSchedulingIgnoredDuringExecution": preferred}}})
}

#[test]
fn node_affinity() {
    let labelled = |value: &str| node("n", json!({"metadata": {"labels": {"zone": value}}}));
    let check = |spec, expected: &str| check_filter("NodeAffinity", labelled("a"), &[], spec, expected);
    let refusal = "node(s) didn't match Pod's node affinity/selector";
    check(json!({}), "");
    check(json!({"nodeSelector": {"zone": "a"}}), "");
    check(json!({"nodeSelector": {"zone": "b"}}), refusal);
    check(json!({"nodeSelector": {"rack": "a"}}), refusal);
    for (requirement, expected) in [
        (json!({"key": "zone", "operator": "In", "values": ["a", "b"]}), ""),
        (json!({"key": "zone", "operator": "In", "values": ["b"]}), refusal),
        (json!({"key": "zone", "operator": "NotIn", "values": ["b"]}), ""),
        (json!({"key": "rack", "operator": "NotIn", "values": ["b"]}), ""),
        (json!({"key": "zone", "operator": "NotIn", "values": ["a"]}), refusal),
        (json!({"key": "zone", "operator": "Exists"}), ""),
        (json!({"key": "rack", "operator": "Exists"}), refusal),
        (json!({"key": "rack", "operator": "DoesNotExist"}), ""),
        (json!({"key": "zone", "operator": "Gt", "values": ["1"]}), refusal),
    ] {
        check(affinity(json!([{"matchExpressions": [requirement]}]), json!([])), expected);
    }
    let name = |name| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]});
    check(affinity(json!([name("n")]), json!([])), "");
    check(affinity(json!([name("m")]), json!([])), refusal);
    check(affinity(json!([name("m"), name("n")]), json!([])), "");
    check(affinity(json!([{}]), json!([])), refusal);
}

#[test]
fn node_affinity_preferences() {
    let labelled = |name, zone: &str| node(name, json!({"metadata": {"labels": {"zone": zone}}}));
    let term = |weight, zone| json!({"weight": weight, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}});
    let spec = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term(10, "a"), term(5, "b")]}}});
    check_score(
        "NodeAffinity",
        vec![labelled("x", "a"), labelled("y", "b"), labelled("z", "c")],
        spec,
        Some(&[100, 50, 0]),
    );
    check_score("NodeAffinity", vec![labelled("x", "a")], json!({}), None);
}

#[test]
fn node_ports() {
    let refusal = "node(s) didn't have free ports for the requested pod ports";
    let check = |placed: &[(i32, &str, &str)], wanted: &[(i32, &str, &str)], expected| {
        check_filter("NodePorts", node("n", json!({})), &[ports(placed)], ports(wanted), expected);
    };
    check(&[(80, "TCP", "")], &[(80, "TCP", "")], refusal);
    check(&[(80, "TCP", "")], &[(81, "TCP", "")], "");
    check(&[(80, "TCP", "")], &[(80, "UDP", "")], "");
    check(&[(80, "TCP", "10.0.0.1")], &[(80, "TCP", "10.0.0.2")], "");
    check(&[(80, "TCP", "10.0.0.1")], &[(80, "TCP", "0.0.0.0")], refusal);
    check(&[(80, "TCP", "")], &[(80, "TCP", "10.0.0.2")], refusal);
    check(&[(0, "TCP", "")], &[(0, "TCP", "")], "");
}

#[test]
fn node_resources_fit() {
    let check = |placed: &[Value], spec, expected: &str| {
        check_filter("NodeResourcesFit", node("n", json!({})), placed, spec, expected)
    };
    check(&[], requests("4", "8Gi"), "");
    check(&[], requests("4001m", "1"), "Insufficient cpu");
    check(&[requests("3", "7Gi")], requests("2", "2Gi"), "Insufficient cpu, Insufficient memory");
    check(&[requests("4", "8Gi")], json!({}), "");
    let full: Vec<_> = (0..10).map(|_| json!({})).collect();
    check(&full, json!({}), "Too many pods");
    let gpus =
        |n: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"example.com/gpu": n}}}]});
    check(&[gpus("1")], gpus("1"), "");
    check(&[gpus("1")], gpus("2"), "Insufficient example.com/gpu");
    let disk =
        json!({"containers": [{"name": "c", "resources": {"requests": {"ephemeral-storage": "1Gi"}}}]});
    check(&[], disk, "Insufficient ephemeral-storage");
}

#[test]
fn resource_scores() {
    let sized = |name, cpu: &str, memory: &str| {
        node(name, json!({"status": {"allocatable": {"cpu": cpu, "memory": memory}}}))
    };
    let nodes = || vec![sized("a", "4", "10"), sized("b", "8", "10"), sized("c", "2", "5")];
    check_score("NodeResourcesFit", nodes(), requests("2", "5"), Some(&[50, 62, 0]));
    check_score("NodeResourcesBalancedAllocation", nodes(), requests("2", "5"), Some(&[100, 87, 100]));
    check_score("NodeResourcesBalancedAllocation", nodes(), json!({}), None);
}

#[test]
fn balance_can_be_of_other_resources() {
    let args = json!({"resources": [{"name": "cpu"}, {"name": "example.com/gpu"}]});
    let plugin = Registry::default().build("NodeResourcesBalancedAllocation", &args).unwrap();
    let score = |requests: Value| {
        let mut snapshot = Snapshot::new();
        let id = snapshot.upsert_node(Arc::new(node("n", json!({}))));
        let containers = json!([{"name": "c", "resources": {"requests": requests}}]);
        let pod = pod("p", json!({"containers": containers}));
        let cycle = Cycle { snapshot: &snapshot, pod: &pod };
        let score = plugin.as_score().unwrap().compile(&cycle, &[id]);
        score.map(|mut score| {
            let mut scores = [0];
            score.score(&[id], &mut scores);
            scores[0]
        })
    };
    // Half of the cores and half of the devices, or all of these.
    assert_eq!(score(json!({"cpu": "2", "example.com/gpu": "1"})), Some(100));
    assert_eq!(score(json!({"cpu": "2", "example.com/gpu": "2"})), Some(75));
    assert_eq!(score(json!({"memory": "8Gi"})), None, "memory is none of them");
}

#[test]
fn image_locality() {
    let with = |name, images: &[(&str, i64)]| {
        let images: Vec<_> = images
            .iter()
            .map(|(name, size)| json!({"names": [name], "sizeBytes": size * 1024 * 1024}))
            .collect();
        node(name, json!({"status": {"images": images}}))
    };
    let spec = json!({"containers": [{"name": "c", "image": "app"}]});
    let nodes = || vec![with("a", &[("app:latest", 500)]), with("b", &[("app:v1", 500)])];
    // Half of the nodes have it, so it counts 250 MB of 1000, from 23 up.
    check_score("ImageLocality", nodes(), spec, Some(&[23, 0]));
    check_score("ImageLocality", nodes(), json!({"containers": [{"name": "c", "image": "other"}]}), None);
    // All have it, and the one that came first says how large it is.
    let sizes = vec![with("a", &[("app:latest", 500)]), with("b", &[("app:latest", 300)])];
    let spec = json!({"containers": [{"name": "c", "image": "app"}]});
    check_score("ImageLocality", sizes, spec, Some(&[48, 48]));
}

#[test]
fn scheduling_gates() {
    let plugin = plugin("SchedulingGates");
    let gate = plugin.as_pre_enqueue().unwrap();
    assert!(gate.pre_enqueue(&pod("p", json!({})), &GateView::default()).is_ok());
    let gated = pod("p", json!({"schedulingGates": [{"name": "a"}, {"name": "b"}]}));
    assert_eq!(
        gate.pre_enqueue(&gated, &GateView::default()).unwrap_err().message(),
        "waiting for scheduling gates: [a b]"
    );
}

#[test]
fn hints_wake_a_pod_only_when_the_event_can_help() {
    let check = |name: &str, spec: Value, event: ClusterEvent, expected: Hint| {
        let hints = plugin(name);
        assert_eq!(
            hints.as_queueing_hints().unwrap().hint(&pod("p", spec), &event),
            expected,
            "{name} {event:?}"
        );
    };
    let added = |extra| ClusterEvent::NodeAdded(Arc::new(node("n", extra)));
    let updated =
        |old, new| ClusterEvent::NodeUpdated { old: Arc::new(node("n", old)), new: Arc::new(node("n", new)) };
    let removed = |spec| ClusterEvent::PodRemoved(Arc::new(pod("other", spec)));
    let tainted = || taints(&[("a", "b", "NoSchedule")]);
    check("TaintToleration", json!({}), added(json!({})), Hint::Queue);
    check("TaintToleration", json!({}), added(tainted()), Hint::Skip);
    check("TaintToleration", json!({}), updated(tainted(), json!({})), Hint::Queue);
    check("TaintToleration", json!({}), removed(json!({})), Hint::Skip);
    check(
        "NodeUnschedulable",
        json!({}),
        updated(json!({"spec": {"unschedulable": true}}), json!({})),
        Hint::Queue,
    );
    check("NodeUnschedulable", json!({}), removed(json!({})), Hint::Skip);
    check("NodeResourcesFit", requests("2", "1"), removed(requests("1", "1")), Hint::Queue);
    check("NodeResourcesFit", requests("5", "1"), added(json!({})), Hint::Skip);
    check(
        "NodeResourcesFit",
        requests("2", "1"),
        updated(json!({"status": {"allocatable": {"cpu": "1"}}}), json!({})),
        Hint::Queue,
    );
    check("NodeResourcesFit", requests("2", "1"), updated(json!({}), tainted()), Hint::Skip);
    check("NodeAffinity", json!({"nodeSelector": {"a": "b"}}), added(json!({})), Hint::Skip);
    check(
        "NodeAffinity",
        json!({"nodeSelector": {"a": "b"}}),
        added(json!({"metadata": {"labels": {"a": "b"}}})),
        Hint::Queue,
    );
    check("NodePorts", ports(&[(80, "TCP", "")]), removed(ports(&[(80, "TCP", "")])), Hint::Queue);
    check("NodePorts", ports(&[(80, "TCP", "")]), removed(ports(&[(81, "TCP", "")])), Hint::Skip);
}

#[test]
fn a_profile_may_add_node_affinity() {
    let term = |key: &str| json!({"matchExpressions": [{"key": key, "operator": "Exists"}]});
    let args = json!({"addedAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term("pool")]},
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term("fast")}]}});
    let plugin = Registry::default().build("NodeAffinity", &args).unwrap();
    let (mut snapshot, pod) = (Snapshot::new(), pod("p", json!({})));
    let mut add = |name: &str, labels: Value| {
        snapshot.upsert_node(Arc::new(node(name, json!({"metadata": {"labels": labels}}))))
    };
    let ids =
        [add("a", json!({})), add("b", json!({"pool": "x"})), add("c", json!({"pool": "x", "fast": "y"}))];
    let cycle = Cycle { snapshot: &snapshot, pod: &pod };
    let mut filter = plugin.as_filter().unwrap().compile(&cycle).unwrap();
    let verdicts = ids.map(|id| filter.check(snapshot.view(id)).map_err(|status| status.message()));
    assert_eq!(verdicts[0], Err("node(s) didn't match scheduler-enforced node affinity".to_owned()));
    assert_eq!(verdicts[1..], [Ok(()), Ok(())]);
    let (mut scores, mut score) = ([0; 3], plugin.as_score().unwrap().compile(&cycle, &ids).unwrap());
    score.score(&ids, &mut scores);
    assert_eq!(scores, [0, 0, 1]);
}
