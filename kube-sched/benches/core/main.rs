//! The scheduling core on the shapes of upstream's scheduler_perf: one line per figure, the median of some runs.
//!
//! `cargo bench -p kube-sched` runs all, `cargo bench -p kube-sched -- affinity` those whose name contains the word.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::cast_precision_loss, reason = "figures need no more than 52 bits")]

mod alloc;

use std::alloc::System as Inner;
use std::hint::black_box;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube_sched::framework::Profile;
use kube_sched::testing::{Replay, Replayed, SHAPES, Shape};
use kube_sched::{Error, NodeInfo, PodInfo, Reuse, Snapshot};
use serde_json::{from_value, json};
use tokio::time::Instant;

/// Runs of each shape; the first warms up and does not count.
const RUNS: usize = 4;

/// What a run took.
struct Figures {
    seconds: f64,
    replayed: Replayed,
    allocations: u64,
}

fn main() -> Result<(), Error> {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    for shape in SHAPES.iter().filter(|shape| wanted(shape.name)) {
        let replay = Replay::new(shape)?;
        let mut runs: Vec<_> = (0..RUNS).map(|_| run(&replay)).skip(1).collect();
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        report(shape, &replay, &runs[runs.len() / 2]);
    }
    if wanted("fork") {
        fork()?;
    }
    if wanted("memory") {
        memory()?;
    }
    if wanted("million") {
        million()?;
    }
    Ok(())
}

fn report(shape: &Shape, replay: &Replay, figures: &Figures) {
    let pods = replay.pods().len() as f64;
    assert_eq!(figures.replayed.placed, replay.pods().len(), "{}: some pods found no place", shape.name);
    println!("core/{} {:.0} pods/s", shape.name, pods / figures.seconds);
    if shape.name == "basic" {
        println!("core/ns-per-pair {:.1} ns", figures.seconds * 1e9 / figures.replayed.pairs as f64);
        println!("core/allocs-per-pod {:.1}", figures.allocations as f64 / pods);
    }
}

fn run(replay: &Replay) -> Figures {
    let profile = Profile::default();
    let (before, started) = (alloc::count(), Instant::now());
    let replayed = replay.run(&profile, 1);
    Figures { seconds: started.elapsed().as_secs_f64(), replayed, allocations: alloc::count() - before }
}

fn basic() -> Result<Replay, Error> {
    Replay::new(&SHAPES[0])
}

fn fork() -> Result<(), Error> {
    const FORKS: u32 = 10_000;
    let replay = basic()?;
    let (pod, node) = (&replay.pods()[0], "node-77".into());
    let started = Instant::now();
    for _ in 0..FORKS {
        replay.cluster().fork().assume(pod, &node);
    }
    println!("core/fork-and-place {:.0} ns", started.elapsed().as_nanos() as f64 / f64::from(FORKS));
    Ok(())
}

/// What a snapshot holds for each node and for each placed pod: of those that are alike, and of one that is like no other.
fn memory() -> Result<(), Error> {
    let shape = &SHAPES[0];
    let nodes = shape.nodes()?;
    let before = alloc::bytes();
    let snapshot = Snapshot::from_objects(&nodes, &[])?;
    let with_nodes = alloc::bytes();
    println!("core/bytes-per-node {:.0}", (with_nodes - before) as f64 / nodes.len() as f64);
    drop(snapshot);
    let mut pods = shape.measured()?;
    for (number, pod) in pods.iter_mut().enumerate() {
        pod.spec.get_or_insert_default().node_name = Some(format!("node-{}", number % nodes.len()));
    }
    let alike = for_each_pod(&pods, with_nodes - before, &nodes)?;
    println!("core/bytes-per-pod {alike:.0}");
    for (number, pod) in pods.iter_mut().enumerate() {
        pod.metadata.labels.get_or_insert_default().insert("number".to_owned(), number.to_string());
    }
    println!("core/bytes-per-pod-alone {:.0}", for_each_pod(&pods, with_nodes - before, &nodes)?);
    Ok(())
}

fn for_each_pod(pods: &[Pod], nodes_alone: usize, nodes: &[Node]) -> Result<f64, Error> {
    let before = alloc::bytes();
    let snapshot = Snapshot::from_objects(nodes, pods)?;
    let held = alloc::bytes() - before - nodes_alone;
    black_box(snapshot);
    Ok(held as f64 / pods.len() as f64)
}

/// A million nodes with a pod each: a thousand more are placed on a sample of 5 % of the nodes, as upstream has it.
fn million() -> Result<(), Error> {
    const NODES: usize = 1_000_000;
    const PODS: usize = 1_000;
    let parse = |name: String| {
        PodInfo::parse(
            from_value::<Pod>(json!({"metadata": {"name": name}, "spec": {"containers": [
            {"name": "c", "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}}]}}))
            .map_err(|error| Error::Decode(Box::new(error)))?,
        )
    };
    let template = parse("template".to_owned())?;
    let (mut snapshot, allocatable) = (Snapshot::new(), SHAPES[0].nodes()?[0].clone());
    let allocatable = NodeInfo::parse(&allocatable)?.allocatable;
    for number in 0..NODES {
        let name: Arc<str> = format!("node-{number}").into();
        let labels = [("kubernetes.io/hostname".to_owned(), name.to_string())].into();
        let node = NodeInfo {
            name: Arc::clone(&name),
            labels,
            allocatable: allocatable.clone(),
            ..NodeInfo::default()
        };
        snapshot.upsert_node(Arc::new(node));
        snapshot.assume(&PodInfo { key: format!("default/{number}").into(), ..template.clone() }, &name);
    }
    let (profile, mut rng, mut reuse) = (Profile::default(), fastrand::Rng::with_seed(1), Reuse::default());
    let started = Instant::now();
    let mut pairs = 0;
    for number in 0..PODS {
        let pod = parse(format!("pod-{number}"))?;
        let decision = reuse.schedule(&snapshot, &pod, &profile, &mut rng);
        pairs += decision.feasible.len();
        let node = decision.node().cloned().expect("every node has room");
        snapshot.assume(&pod, &node);
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("core/million-nodes {:.0} pods/s", PODS as f64 / seconds);
    println!("core/million-nodes-ns-per-pair {:.1} ns", seconds * 1e9 / pairs as f64);
    black_box(snapshot);
    Ok(())
}
