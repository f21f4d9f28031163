use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Facts = (
    Option<NodeInfo>,
    Amounts,
    Amounts,
    Vec<(Arc<str>, i64)>,
    Vec<HostPort>,
    Vec<Arc<str>>,
    Vec<(Arc<str>, Arc<str>)>,
);

/// Each image's size and number of nodes.
type Images = BTreeMap<Arc<str>, (i64, u32)>;

/// For each tally how many need it, and its counts by the value of the label.
type Counted = BTreeMap<crate::terms::TallyKey, (usize, i64, BTreeMap<Arc<str>, i64>)>;

fn counted(snapshot: &Snapshot) -> Counted {
    let tallies = snapshot.tallies.all.iter().flatten();
    let facts = tallies.map(|tally| {
        let topology = &snapshot.topologies[tally.topology];
        let counts = (0..).zip(tally.counts.iter()).filter(|(_, count)| **count != 0);
        let counts =
            counts.map(|(slot, count)| (topology.values.value(slot).cloned().unwrap(), *count)).collect();
        (tally.key.clone(), (tally.uses, tally.total, counts))
    });
    facts.collect()
}

/// Everything a decision can see of each node, by name and independent of slots and numbers.
fn facts(snapshot: &Snapshot) -> (BTreeMap<String, Facts>, Images, Counted) {
    let nodes = snapshot.nodes().map(|view| {
        let mut pods: Vec<_> = view.pods().iter().map(|pod| Arc::clone(&pod.key)).collect();
        pods.sort();
        let used =
            snapshot.extended_requested.get(view.id().index()).map(|used| used.to_vec()).unwrap_or_default();
        let labels = snapshot.labels.get(view.id().index()).map(|labels| labels.to_vec()).unwrap_or_default();
        let text = |interner: &Interner<Arc<str>>, id| interner.value(id).cloned().unwrap();
        let mut labels: Vec<_> = labels
            .iter()
            .map(|(k, v)| (text(&snapshot.label_keys, *k), text(&snapshot.label_values, *v)))
            .collect();
        labels.sort();
        assert_eq!(view.taints().unwrap().taints(), view.info().unwrap().taints);
        assert_eq!(view.allocatable(), view.info().unwrap().allocatable.base);
        assert_eq!(view.unschedulable(), view.info().unwrap().unschedulable);
        let info = view.info().map(|info| (**info).clone());
        (
            view.name().to_owned(),
            (info, view.requested(), view.nonzero_requested(), used, view.ports().to_vec(), pods, labels),
        )
    });
    let images = snapshot.images.iter().map(|(image, facts)| (Arc::clone(image), *facts)).collect();
    (nodes.collect(), images, counted(snapshot))
}

fn node(name: u8, shape: u8) -> Arc<NodeInfo> {
    let node = serde_json::json!({
        "metadata": {"name": format!("n{name}"), "labels": {"zone": format!("z{}", shape % 3), "host": format!("n{name}")}},
        "spec": {"unschedulable": shape.is_multiple_of(2), "taints": (0..shape % 3).map(|i| serde_json::json!({"key": format!("t{i}"), "effect": "NoSchedule"})).collect::<Vec<_>>()},
        "status": {"allocatable": {"cpu": shape.to_string(), "example.com/gpu": "4"}, "images": [{"names": [format!("img{}", shape % 2)], "sizeBytes": 100}]},
    });
    Arc::new(NodeInfo::parse(&serde_json::from_value(node).unwrap()).unwrap())
}

fn pod(name: u8, node: Option<u8>, shape: u8) -> Arc<PodInfo> {
    let (affinity, spread) = terms(shape);
    let pod = serde_json::json!({
        "metadata": {"name": format!("p{name}"), "namespace": "ns", "labels": {"app": format!("a{}", shape % 3)}},
        "spec": {"nodeName": node.map(|n| format!("n{n}")), "affinity": affinity, "topologySpreadConstraints": spread, "containers": [{"name": "c",
            "ports": [{"containerPort": 1, "hostPort": i32::from(shape % 3)}],
            "resources": {"requests": {"cpu": format!("{shape}m"), "example.com/gpu": (shape % 2).to_string()}}}]},
        "status": {"phase": if shape > 250 { "Succeeded" } else { "Running" }},
    });
    Arc::new(PodInfo::parse(serde_json::from_value::<Pod>(pod).unwrap()).unwrap())
}

/// Pod affinity and spread constraints that depend on the shape.
fn terms(shape: u8) -> (serde_json::Value, serde_json::Value) {
    let selector = serde_json::json!({"matchLabels": {"app": format!("a{}", shape % 2)}});
    let key = if shape.is_multiple_of(5) { "host" } else { "zone" };
    let term = serde_json::json!({"labelSelector": selector, "topologyKey": key});
    let wide = serde_json::json!({"labelSelector": {}, "topologyKey": key, "namespaceSelector": {"matchLabels": {"team": "red"}}});
    let required = |term| serde_json::json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
    let preferred = serde_json::json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": shape % 3 + 1, "podAffinityTerm": term}]});
    match shape % 6 {
        0 => (serde_json::json!({"podAntiAffinity": required(term)}), serde_json::json!([])),
        1 => (serde_json::json!({"podAffinity": required(wide)}), serde_json::json!([])),
        2 => (serde_json::json!({"podAffinity": preferred}), serde_json::json!([])),
        3 => (
            serde_json::json!({}),
            serde_json::json!([{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]),
        ),
        _ => (serde_json::json!({}), serde_json::json!([])),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Namespace(bool),
    Node(u8, u8),
    NodeGone(u8),
    Pod(u8, Option<u8>, u8),
    PodGone(u8),
    Assume(u8, u8, u8),
    Forget(u8),
    Fork,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Namespace),
        (0..6_u8, any::<u8>()).prop_map(|(n, s)| Step::Node(n, s)),
        (0..6_u8).prop_map(Step::NodeGone),
        (0..12_u8, proptest::option::of(0..6_u8), any::<u8>()).prop_map(|(p, n, s)| Step::Pod(p, n, s)),
        (0..12_u8).prop_map(Step::PodGone),
        (0..12_u8, 0..6_u8, any::<u8>()).prop_map(|(p, n, s)| Step::Assume(p, n, s)),
        (0..12_u8).prop_map(Step::Forget),
        Just(Step::Fork),
    ]
}

/// The plainest model: maps of what exists.
#[derive(Default)]
struct Model {
    nodes: BTreeMap<u8, Arc<NodeInfo>>,
    pods: BTreeMap<u8, (Arc<PodInfo>, bool)>,
    red: bool,
}

fn namespace(red: bool) -> BTreeMap<String, String> {
    let team = if red { "red" } else { "blue" };
    [("team".to_owned(), team.to_owned())].into()
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Node(n, s) => drop(self.nodes.insert(n, node(n, s))),
            Step::NodeGone(n) => drop(self.nodes.remove(&n)),
            Step::Pod(p, n, s) => {
                let info = pod(p, n, s);
                let assumed = self.pods.get(&p).is_some_and(|(_, assumed)| *assumed);
                if info.is_finished() || (n.is_none() && !assumed) {
                    self.pods.remove(&p);
                } else if n.is_some() {
                    self.pods.insert(p, (info, false));
                }
            }
            Step::PodGone(p) => drop(self.pods.remove(&p)),
            Step::Assume(p, n, s) => drop(self.pods.insert(p, (pod(p, Some(n), s % 250), true))),
            Step::Forget(p) => {
                if self.pods.get(&p).is_some_and(|(_, assumed)| *assumed) {
                    self.pods.remove(&p);
                }
            }
            Step::Namespace(red) => self.red = red,
            Step::Fork => {}
        }
    }

    fn rebuild(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        snapshot.upsert_namespace("ns", namespace(self.red));
        for node in self.nodes.values() {
            snapshot.upsert_node(Arc::clone(node));
        }
        self.pods.values().for_each(|(pod, _)| snapshot.upsert_pod(Arc::clone(pod)));
        snapshot
    }
}

fn apply(snapshot: &mut Snapshot, step: &Step) {
    match *step {
        Step::Node(n, s) => {
            snapshot.upsert_node(node(n, s));
        }
        Step::NodeGone(n) => snapshot.remove_node(&format!("n{n}")),
        Step::Pod(p, n, s) => snapshot.upsert_pod(pod(p, n, s)),
        Step::PodGone(p) => snapshot.remove_pod(&format!("ns/p{p}")),
        Step::Assume(p, n, s) => snapshot.assume(&pod(p, None, s % 250), &format!("n{n}").into()),
        Step::Forget(p) => snapshot.forget(&format!("ns/p{p}")),
        Step::Namespace(red) => snapshot.upsert_namespace("ns", namespace(red)),
        Step::Fork => {}
    }
}

proptest! {
    #[test]
    fn an_incremental_snapshot_equals_one_rebuilt(steps in proptest::collection::vec(step(), 0..60)) {
        let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
        let mut forks = Vec::new();
        for step in &steps {
            if matches!(step, Step::Fork) {
                forks.push((snapshot.fork(), facts(&snapshot)));
            }
            apply(&mut snapshot, step);
            model.apply(step);
            prop_assert_eq!(facts(&snapshot), facts(&model.rebuild()));
        }
        for (fork, then) in forks {
            prop_assert_eq!(facts(&fork), then, "a later write reached a fork");
        }
    }
}

#[test]
fn slots_and_numbers_are_reused() {
    let mut snapshot = Snapshot::new();
    for round in 0..100_u8 {
        snapshot.upsert_node(node(round, round));
        snapshot.upsert_pod(pod(1, Some(round), 1));
        snapshot.remove_pod("ns/p1");
        snapshot.remove_node(&format!("n{round}"));
    }
    assert_eq!(snapshot.node_count(), 0);
    assert_eq!(snapshot.infos.len(), 1);
    assert!(snapshot.label_values.bound() <= 2 && snapshot.taint_set_bound() <= 1);
    assert!(snapshot.tallies.all.len() <= 2 && snapshot.topologies.len() <= 1);
    assert_eq!(counted(&snapshot), Counted::new());
}
