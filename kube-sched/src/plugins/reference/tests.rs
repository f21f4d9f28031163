//! The plugins against the reference, on random clusters after random changes.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, from_value, json};

use super::{Labels, World};
use crate::framework::{Cycle, Plugin, Registry};
use crate::{NodeInfo, PodInfo, Snapshot};

const VALUES: [&str; 3] = ["x", "y", "z"];
const NAMESPACES: [&str; 3] = ["ns0", "ns1", "ns2"];
const TOPOLOGIES: [&str; 3] = ["zone", "rack", "kubernetes.io/hostname"];

fn value() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&VALUES[..])
}

fn labels() -> impl Strategy<Value = Value> {
    (proptest::option::of(value()), proptest::option::of(value()))
        .prop_map(|(app, rev)| {
            let pairs = [("app", app), ("rev", rev)].into_iter().filter_map(|(k, v)| Some((k, v?)));
            pairs.collect::<std::collections::BTreeMap<_, _>>()
        })
        .prop_map(|labels| json!(labels))
}

fn selector() -> impl Strategy<Value = Value> {
    let key = || proptest::sample::select(&["app", "rev"][..]);
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| json!({"matchLabels": {key: value}})),
        1 => key().prop_map(|key| json!({"matchExpressions": [{"key": key, "operator": "Exists"}]})),
        1 => (key(), value()).prop_map(|(key, value)| json!({"matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]})),
        1 => Just(json!({})),
        1 => Just(Value::Null),
    ]
}

/// Whether the API admits `rev` among the keys beside this selector: it must not name the key itself.
fn keyless(selector: &Value) -> bool {
    !selector.is_null() && !selector.to_string().contains("rev")
}

fn topology() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&TOPOLOGIES[..])
}

fn term() -> impl Strategy<Value = Value> {
    let namespaces = prop_oneof![
        3 => Just((json!([]), Value::Null)),
        1 => proptest::sample::select(&NAMESPACES[..]).prop_map(|name| (json!([name]), Value::Null)),
        1 => value().prop_map(|value| (json!([]), json!({"matchLabels": {"team": value}}))),
        1 => Just((json!([]), json!({}))),
    ];
    (selector(), topology(), namespaces, 0..4_u8).prop_map(|(selector, topology, (names, namespaces), keys)| {
        let mut term = json!({"labelSelector": selector, "topologyKey": topology, "namespaces": names, "namespaceSelector": namespaces});
        match keys {
            0 if keyless(&selector) => term["matchLabelKeys"] = json!(["rev"]),
            1 if keyless(&selector) => term["mismatchLabelKeys"] = json!(["rev"]),
            _ => {}
        }
        term
    })
}

fn terms() -> impl Strategy<Value = Value> {
    let list = || prop_oneof![3 => Just(vec![]), 1 => proptest::collection::vec(term(), 1..3)];
    let weighted = || {
        list()
            .prop_flat_map(|terms| {
                let count = terms.len();
                (Just(terms), proptest::collection::vec(1..100_i32, count))
            })
            .prop_map(|(terms, weights)| {
                let weighted = terms
                    .into_iter()
                    .zip(weights)
                    .map(|(term, weight)| json!({"weight": weight, "podAffinityTerm": term}));
                json!(weighted.collect::<Vec<_>>())
            })
    };
    (list(), weighted()).prop_map(|(required, preferred)| {
        json!({
            "requiredDuringSchedulingIgnoredDuringExecution": required,
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        })
    })
}

fn constraint() -> impl Strategy<Value = Value> {
    let policy = || proptest::sample::select(vec![Value::Null, json!("Honor"), json!("Ignore")]);
    (selector(), topology(), 1..4_i32, any::<bool>(), 0..4_i32, (policy(), policy()), any::<bool>()).prop_map(
        |(selector, topology, skew, hard, min, (affinity, taints), keys)| {
            let mut constraint = json!({"labelSelector": selector, "topologyKey": topology, "maxSkew": skew,
                "whenUnsatisfiable": if hard { "DoNotSchedule" } else { "ScheduleAnyway" },
                "nodeAffinityPolicy": affinity, "nodeTaintsPolicy": taints});
            if hard && min > 0 {
                constraint["minDomains"] = json!(min);
            }
            if keys && keyless(&selector) {
                constraint["matchLabelKeys"] = json!(["rev"]);
            }
            constraint
        },
    )
}

fn spec() -> impl Strategy<Value = Value> {
    let spread = prop_oneof![2 => Just(vec![]), 2 => proptest::collection::vec(constraint(), 1..3)];
    (terms(), terms(), spread, proptest::option::weighted(0.3, value()), any::<bool>()).prop_map(
        |(affinity, anti, spread, rack, tolerant)| {
            let mut spec = json!({"containers": [{"name": "c"}], "topologySpreadConstraints": spread,
                "affinity": {"podAffinity": affinity, "podAntiAffinity": anti}});
            if let Some(rack) = rack {
                spec["nodeSelector"] = json!({"rack": rack});
            }
            if tolerant {
                spec["tolerations"] = json!([{"operator": "Exists"}]);
            }
            spec
        },
    )
}

/// A pod's number, namespace, labels, spec and whether it is leaving.
type PodShape = (u8, usize, Value, Value, bool);

fn pod_shape() -> impl Strategy<Value = PodShape> {
    (0..14_u8, 0..3_usize, labels(), spec(), proptest::bool::weighted(0.1))
}

fn pod((number, namespace, labels, spec, leaving): &PodShape, prefix: &str) -> PodInfo {
    let mut object = json!({"metadata": {"name": format!("{prefix}{number}"), "namespace": NAMESPACES[*namespace], "labels": labels}, "spec": spec});
    if *leaving {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    PodInfo::parse(from_value::<k8s_openapi::api::core::v1::Pod>(object).unwrap()).unwrap()
}

#[derive(Debug, Clone)]
enum Change {
    Node(u8, Option<&'static str>, Option<&'static str>, bool, bool),
    NodeGone(u8),
    Pod(PodShape, u8),
    PodGone(u8, usize),
    Namespace(usize, Option<&'static str>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..6_u8, proptest::option::weighted(0.8, value()), proptest::option::weighted(0.8, value()), proptest::bool::weighted(0.9), any::<bool>())
            .prop_map(|(n, zone, rack, host, taint)| Change::Node(n, zone, rack, host, taint)),
        1 => (0..6_u8).prop_map(Change::NodeGone),
        6 => (pod_shape(), 0..6_u8).prop_map(|(pod, node)| Change::Pod(pod, node)),
        1 => (0..14_u8, 0..3_usize).prop_map(|(pod, namespace)| Change::PodGone(pod, namespace)),
        1 => (0..3_usize, proptest::option::of(value())).prop_map(|(name, team)| Change::Namespace(name, team)),
    ]
}

fn apply(change: &Change, world: &mut World, snapshot: &mut Snapshot) {
    match change {
        Change::Node(n, zone, rack, host, taint) => {
            let name = format!("n{n}");
            let labels =
                [("zone", *zone), ("rack", *rack), ("kubernetes.io/hostname", host.then_some(name.as_str()))];
            let labels: std::collections::BTreeMap<_, _> =
                labels.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
            let taints = if *taint { json!([{"key": "t", "effect": "NoSchedule"}]) } else { json!([]) };
            let node = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
            let info = Arc::new(NodeInfo::parse(&from_value(node).unwrap()).unwrap());
            world.nodes.insert(name, Arc::clone(&info));
            snapshot.upsert_node(info);
        }
        Change::NodeGone(n) => {
            world.nodes.remove(&format!("n{n}"));
            snapshot.remove_node(&format!("n{n}"));
        }
        Change::Pod(shape, node) => {
            let (pod, node) = (pod(shape, "p"), format!("n{node}"));
            snapshot.assume(&pod, &node.as_str().into());
            world.pods.insert(pod.key.to_string(), (pod, node));
        }
        Change::PodGone(number, namespace) => {
            let key = format!("{}/p{number}", NAMESPACES[*namespace]);
            world.pods.remove(&key);
            snapshot.remove_pod(&key);
        }
        Change::Namespace(name, team) => {
            let name = NAMESPACES[*name];
            let labels: Labels = team.iter().map(|team| ("team".to_owned(), (*team).to_owned())).collect();
            world.namespaces.insert(name.to_owned(), labels.clone());
            snapshot.upsert_namespace(name, labels);
        }
    }
}

fn verdict(plugin: &dyn Plugin, snapshot: &Snapshot, pod: &PodInfo, node: &str) -> String {
    let filter = plugin.as_filter().unwrap().compile(&Cycle { snapshot, pod });
    let verdict = filter.map_or(Ok(()), |mut filter| filter.check(snapshot.node(node).unwrap()));
    verdict.map_or_else(|status| status.message(), |()| String::new())
}

fn scores(
    plugin: &dyn Plugin,
    snapshot: &Snapshot,
    pod: &PodInfo,
    nodes: &[Arc<NodeInfo>],
) -> Option<Vec<i64>> {
    let ids: Vec<_> = nodes.iter().map(|node| snapshot.node(&node.name).unwrap().id()).collect();
    let mut score = plugin.as_score().unwrap().compile(&Cycle { snapshot, pod }, &ids)?;
    let mut scores = vec![0; ids.len()];
    score.score(&ids, &mut scores);
    score.normalize(&mut scores);
    Some(scores)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn plugins_decide_as_the_reference_does(
        changes in proptest::collection::vec(change(), 0..40),
        pending in proptest::collection::vec(pod_shape(), 1..5),
    ) {
        let (mut world, mut snapshot) = (World::default(), Snapshot::new());
        changes.iter().for_each(|change| apply(change, &mut world, &mut snapshot));
        let registry = Registry::default();
        let plugin = |name: &str| registry.build(name, &Value::Null).unwrap();
        let (affinity, spread) = (plugin("InterPodAffinity"), plugin("PodTopologySpread"));
        let nodes: Vec<_> = world.nodes.values().cloned().collect();
        for shape in &pending {
            let pod = pod(&(shape.0, shape.1, shape.2.clone(), shape.3.clone(), false), "pending");
            for node in &nodes {
                prop_assert_eq!(verdict(&*affinity, &snapshot, &pod, &node.name), world.affinity_verdict(&pod, node));
                prop_assert_eq!(verdict(&*spread, &snapshot, &pod, &node.name), world.spread_verdict(&pod, node));
            }
            if nodes.is_empty() {
                continue;
            }
            let expected = world.affinity_scores(&pod, &nodes);
            let found = scores(&*affinity, &snapshot, &pod, &nodes).unwrap_or_else(|| vec![0; nodes.len()]);
            prop_assert_eq!(found, expected);
            if let Some(found) = scores(&*spread, &snapshot, &pod, &nodes) {
                prop_assert_eq!(found, world.spread_scores(&pod, &nodes));
            }
        }
    }
}
