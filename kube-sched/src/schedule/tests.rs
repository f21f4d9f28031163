use fastrand::Rng;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::framework::{Observer, Point, Profile, Verdict};
use crate::{NodeInfo, PodInfo, Snapshot};
use std::sync::Arc;

fn node(name: &str, cpu: u32, extra: Value) -> Arc<NodeInfo> {
    let mut node = json!({"metadata": {"name": name}, "spec": {}, "status": {"allocatable": {"cpu": cpu.to_string(), "memory": "8Gi", "pods": "110"}}});
    node["spec"] = extra;
    Arc::new(NodeInfo::parse(&serde_json::from_value(node).unwrap()).unwrap())
}

fn pod(name: &str, cpu: &str, priority: i32, extra: Value) -> PodInfo {
    let mut pod = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {"priority": priority,
        "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
    for (key, value) in extra.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    PodInfo::parse(serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap()).unwrap()
}

fn cluster(nodes: &[Arc<NodeInfo>]) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for node in nodes {
        snapshot.upsert_node(Arc::clone(node));
    }
    snapshot
}

fn decide(snapshot: &Snapshot, pod: &PodInfo) -> Decision {
    schedule(snapshot, pod, &Profile::default(), &mut Rng::with_seed(7))
}

#[test]
fn messages_count_nodes_per_reason() {
    let tainted = json!({"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]});
    let snapshot = cluster(&[node("a", 1, tainted), node("b", 1, json!({})), node("c", 1, json!({}))]);
    let decision = decide(&snapshot, &pod("p", "2", 0, json!({})));
    assert_eq!(
        decision.message(),
        "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are \
         available: 3 Preemption is not helpful for scheduling.",
        "a request beyond the node's size cannot be helped by preemption"
    );
    assert_eq!(decision.rejected_by(), ["NodeResourcesFit", "TaintToleration"]);
    let mut full = snapshot.fork();
    full.assume(&pod("q", "1", 0, json!({})), &"b".into());
    full.assume(&pod("r", "1", 0, json!({})), &"c".into());
    assert_eq!(
        decide(&full, &pod("p", "1", 0, json!({}))).message(),
        "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are \
         available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    );
    let never = pod("p", "1", 0, json!({"preemptionPolicy": "Never"}));
    assert!(
        decide(&full, &never).message().ends_with(
            ". no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."
        )
    );
    assert_eq!(decide(&Snapshot::new(), &never).message(), "no nodes available to schedule pods");
}

#[test]
fn remedies_miss_a_pod_that_was_refused_before_they_saw_it() {
    let snapshot = cluster(&[node("a", 1, json!({}))]);
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "gone"}}]);
    let decision = decide(&snapshot, &pod("p", "1", 0, json!({"volumes": volumes})));
    assert_eq!(
        decision.message(),
        "0/1 nodes are available: persistentvolumeclaim \"gone\" not found. not found"
    );
}

#[test]
fn daemon_pods_look_at_their_node_only() {
    let affinity = |name| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]}}}})
    };
    let nodes: Vec<_> = (0..300).map(|i| node(&format!("n{i}"), 1, json!({}))).collect();
    let mut snapshot = cluster(&nodes);
    let decision = decide(&snapshot, &pod("p", "1", 0, affinity("n7")));
    assert_eq!(decision.node().map(|name| &**name), Some("n7"));
    assert_eq!(decision.feasible.len() + decision.refused.len(), 1);
    snapshot.assume(&pod("q", "1", 0, json!({})), &"n7".into());
    let message = decide(&snapshot, &pod("p", "1", 0, affinity("n7"))).message();
    assert!(message.starts_with("0/300 nodes are available: 1 Insufficient cpu, 299 node(s) didn't satisfy plugin(s) [NodeAffinity]. no new claims to deallocate, preemption: "), "{message}");
}

#[test]
fn large_clusters_are_sampled() {
    for (percentage, nodes, expected) in [
        (None, 99, 99),
        (None, 100, 100),
        (None, 1000, 420),
        (None, 5000, 500),
        (None, 6000, 300),
        (None, 100_000, 5000),
        (Some(100), 500, 500),
        (Some(1), 5000, 100),
        (Some(0), 1000, 420),
    ] {
        assert_eq!(feasible_nodes_to_find(percentage, nodes), expected, "{percentage:?} of {nodes}");
    }
    let nodes: Vec<_> = (0..1000).map(|i| node(&format!("n{i}"), 1, json!({}))).collect();
    assert_eq!(decide(&cluster(&nodes), &pod("p", "1", 0, json!({}))).feasible.len(), 420);
}

#[test]
fn preemption_takes_the_least_important() {
    let mut snapshot = cluster(&[node("a", 2, json!({})), node("b", 2, json!({}))]);
    for (name, cpu, priority, node) in
        [("a1", "1", 5, "a"), ("a2", "1", 1, "a"), ("b1", "1", 3, "b"), ("b2", "1", 4, "b")]
    {
        snapshot.assume(&pod(name, cpu, priority, json!({})), &node.into());
    }
    let preemptor = pod("p", "1", 10, json!({}));
    let decision = decide(&snapshot, &preemptor);
    assert_eq!(
        decision.message(),
        "0/2 nodes are available: 2 Insufficient cpu.",
        "no word of other remedies"
    );
    let preemption = decision.preemption.unwrap();
    assert_eq!(
        (snapshot.view(preemption.node).name(), &*preemption.victims[0], preemption.victims.len()),
        ("a", "ns/a2", 1)
    );
    // Room that was made is not given to pods of lower priority.
    snapshot.remove_pod("ns/a2");
    snapshot.nominate(Arc::new(preemptor.clone()), "a".into());
    assert_eq!(decide(&snapshot, &pod("low", "1", 0, json!({}))).node(), None);
    assert_eq!(decide(&snapshot, &preemptor).node().map(|name| &**name), Some("a"));
    assert_eq!(decide(&snapshot, &pod("higher", "1", 11, json!({}))).node().map(|name| &**name), Some("a"));
}

#[test]
fn scores_explain_the_choice() {
    let mut snapshot = cluster(&[node("a", 4, json!({})), node("b", 4, json!({}))]);
    snapshot.assume(&pod("q", "2", 0, json!({})), &"a".into());
    let decision = decide(&snapshot, &pod("p", "1", 0, json!({})));
    assert_eq!(decision.node().map(|name| &**name), Some("b"));
    let sums: Vec<i64> =
        (0..2).map(|i| decision.scores.iter().map(|score| score.weighted[i]).sum()).collect();
    assert_eq!(sums, decision.totals);
    let fit = decision.scores.iter().find(|score| score.plugin == "NodeResourcesFit").unwrap();
    assert_eq!(fit.raw.iter().max(), Some(&86));
}

fn shape() -> impl Strategy<Value = (u32, bool, u8)> {
    (1..5_u32, any::<bool>(), 0..3_u8)
}

proptest! {
    #[test]
    fn no_decision_violates_a_filter_and_the_same_seed_gives_the_same_order(
        nodes in proptest::collection::vec(shape(), 1..20),
        pods in proptest::collection::vec((1..2000_u32, 0..3_i32, any::<bool>()), 1..40),
        seed in any::<u64>(),
    ) {
        let nodes: Vec<_> = nodes.iter().enumerate().map(|(i, (cpu, cordoned, taints))| {
            let taints: Vec<_> = (0..*taints).map(|t| json!({"key": format!("t{t}"), "effect": "NoSchedule"})).collect();
            node(&format!("n{i}"), *cpu, json!({"unschedulable": cordoned, "taints": taints}))
        }).collect();
        let run = || {
            let (mut snapshot, mut rng, profile) = (cluster(&nodes), Rng::with_seed(seed), Profile::default());
            let mut order = Vec::new();
            for (i, (cpu, priority, tolerant)) in pods.iter().enumerate() {
                let tolerations = if *tolerant { json!({"tolerations": [{"operator": "Exists"}]}) } else { json!({}) };
                let pod = pod(&format!("p{i}"), &format!("{cpu}m"), *priority, tolerations);
                let decision = schedule(&snapshot, &pod, &profile, &mut rng);
                let Some(name) = decision.node().cloned() else { order.push(None); continue };
                let chosen = snapshot.node(&name).unwrap();
                assert!(check_node(&snapshot, &pod, &profile, chosen.id()).is_ok());
                let info = chosen.info().unwrap();
                assert!(*tolerant || (info.taints.is_empty() && !info.unschedulable));
                snapshot.assume(&pod, &name);
                let view = snapshot.node(&name).unwrap();
                assert!(view.requested().milli_cpu <= view.allocatable().milli_cpu, "over-committed");
                order.push(Some(name));
            }
            order
        };
        prop_assert_eq!(run(), run());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn reuse_changes_no_decision(
        nodes in proptest::collection::vec(shape(), 100..130),
        steps in proptest::collection::vec((0..4_u8, 0..6_usize, 0..100_usize), 1..30),
        seed in any::<u64>(),
    ) {
        let named = |i: usize, (cpu, cordoned, taints): (u32, bool, u8)| {
            let taints: Vec<_> = (0..taints).map(|t| json!({"key": format!("t{t}"), "effect": "PreferNoSchedule"})).collect();
            node(&format!("n{i}"), cpu, json!({"unschedulable": cordoned, "taints": taints}))
        };
        let nodes: Vec<_> = nodes.iter().enumerate().map(|(i, shape)| named(i, *shape)).collect();
        let mut snapshot = cluster(&nodes);
        let profile = Profile { percentage_of_nodes_to_score: Some(60), ..Profile::default() };
        let (mut with, mut without) = (Rng::with_seed(seed), Rng::with_seed(seed));
        let mut reuse = Reuse::default();
        for (number, (kind, run, other)) in steps.iter().enumerate() {
            match kind {
                0 => drop(snapshot.upsert_node(named(*other, (u32::try_from(number % 4).unwrap() + 1, false, 1)))),
                1 => snapshot.remove_pod(&format!("ns/p{}-{other}", number.saturating_sub(1))),
                _ => {}
            }
            let spec = match kind {
                2 => json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": {}, "topologyKey": "host", "namespaceSelector": {}}]}}}),
                3 => json!({"priorityClassName": "high", "tolerations": [{"operator": "Exists"}]}),
                _ => json!({}),
            };
            for i in 0..*run {
                let pod = pod(&format!("p{number}-{i}"), "700m", i32::from(*kind), spec.clone());
                let reused = reuse.schedule(&snapshot, &pod, &profile, &mut with);
                prop_assert_eq!(&reused, &schedule(&snapshot, &pod, &profile, &mut without));
                match (reused.node(), &reused.preemption) {
                    (Some(node), _) => snapshot.assume(&pod, node),
                    // Some wait for their victims to go, and room is kept for them meanwhile.
                    (None, Some(way)) if i % 2 == 1 => {
                        let node = snapshot.view(way.node).name().into();
                        snapshot.nominate(Arc::new(pod), node);
                    }
                    (None, Some(way)) => {
                        way.victims.iter().for_each(|victim| snapshot.remove_pod(victim));
                        let node = snapshot.view(way.node).name().into();
                        snapshot.nominate(Arc::new(pod), node);
                    }
                    _ => {}
                }
                reuse.recycle(reused);
            }
        }
    }
}

/// Writes down what it hears.
#[derive(Default)]
struct Scribe(Vec<(Point, &'static str)>, Vec<(Point, usize, usize)>);

impl Observer for Scribe {
    fn hears_plugins(&self) -> bool {
        true
    }

    fn point_begins(&mut self, point: Point) {
        self.0.push((point, "begins"));
    }

    fn point_ends(&mut self, point: Point, _: Verdict) {
        self.0.push((point, "ends"));
    }

    fn evaluated(&mut self, point: Point, place: usize, times: usize) {
        self.1.push((point, place, times));
    }

    fn plugin_ends(&mut self, point: Point, plugin: &'static str, _: Verdict) {
        self.0.push((point, plugin));
    }
}

impl Scribe {
    fn times(&self, point: Point, what: &str) -> usize {
        self.0.iter().filter(|heard| **heard == (point, what)).count()
    }

    fn evaluations(&self, profile: &Profile, point: Point, plugin: &str) -> usize {
        let fits = |(at, place, _): &&(Point, usize, usize)| {
            *at == point && profile.plugins[*place].plugin.name() == plugin
        };
        self.1.iter().filter(fits).map(|(_, _, times)| times).sum()
    }
}

#[test]
fn an_observer_hears_every_point_and_plugin() {
    let snapshot = cluster(&[node("a", 4, json!({})), node("b", 4, json!({}))]);
    let (profile, mut scribe) = (Profile::default(), Scribe::default());
    let (fits, giant) = (pod("p", "1", 0, json!({})), pod("q", "8", 0, json!({})));
    let mut decide = |pod: &PodInfo, reuse: &mut Reuse| {
        let (mut heard, mut alone) = (Rng::with_seed(7), Rng::with_seed(7));
        scribe.0.clear();
        scribe.1.clear();
        let observed = reuse.schedule_observed(&snapshot, pod, &profile, &mut heard, &mut scribe);
        assert_eq!(observed, schedule(&snapshot, pod, &profile, &mut alone), "it changes nothing");
        std::mem::take(&mut scribe)
    };
    let mut reuse = Reuse::default();
    let heard = decide(&fits, &mut reuse);
    for point in [Point::PreFilter, Point::Filter, Point::PreScore, Point::Score] {
        assert_eq!((heard.times(point, "begins"), heard.times(point, "ends")), (1, 1), "{point:?}");
    }
    assert_eq!(heard.times(Point::PostFilter, "begins"), 0);
    assert_eq!(heard.times(Point::Filter, "NodeResourcesFit"), 2, "once for each node");
    for point in [Point::PreFilter, Point::PreScore, Point::Score, Point::NormalizeScore] {
        assert_eq!(heard.times(point, "NodeResourcesFit"), 1, "{point:?}");
    }
    let fit = |heard: &Scribe, point| heard.evaluations(&profile, point, "NodeResourcesFit");
    let points = [Point::PreFilter, Point::Filter, Point::PreScore, Point::Score];
    assert_eq!(points.map(|point| fit(&heard, point)), [1, 2, 1, 2]);
    let heard = decide(&fits, &mut reuse);
    assert_eq!(heard.times(Point::Filter, "NodeResourcesFit"), 0, "both are known");
    assert_eq!(points.map(|point| fit(&heard, point)), [1, 0, 1, 0]);
    let heard = decide(&giant, &mut reuse);
    assert_eq!(heard.times(Point::PostFilter, "DefaultPreemption"), 1);
    assert_eq!(heard.times(Point::Score, "begins"), 0);
}

#[test]
fn pods_are_alike_whatever_the_volume_of_their_credentials_is_called() {
    let named = |name: &str, volume: &str| {
        pod(
            name,
            "1",
            0,
            json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}},
            "volumeMounts": [{"name": volume, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}],
            "volumes": [{"name": volume, "projected": {"sources": []}}]}),
        )
    };
    let snapshot = cluster(&[node("a", 4, json!({}))]);
    let (profile, mut rng, mut reuse) = (Profile::default(), Rng::with_seed(7), Reuse::default());
    let mut judged = |pod: PodInfo| {
        let mut scribe = Scribe::default();
        let decision = reuse.schedule_observed(&snapshot, &pod, &profile, &mut rng, &mut scribe);
        assert!(decision.node().is_some());
        scribe.times(Point::Filter, "NodeResourcesFit")
    };
    assert_eq!(judged(named("p", "kube-api-access-abcde")), 1);
    assert_eq!(judged(named("q", "kube-api-access-fghij")), 0);
    assert_eq!(judged(named("r", "own")), 1, "another volume makes another kind");
}
