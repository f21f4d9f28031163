//! The scheduling core on the shapes of upstream's scheduler_perf: one line per figure, the median of some runs.
//!
//! `cargo bench -p kube-sched` runs all, `cargo bench -p kube-sched -- affinity` those whose name contains the word.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod alloc;
mod shapes;

use std::sync::Arc;

use fastrand::Rng;
use kube_sched::framework::Profile;
use kube_sched::{PodInfo, Reuse, Snapshot};
use shapes::Shape;
use tokio::time::Instant;

/// Runs of each shape; the first warms up and does not count.
const RUNS: usize = 4;

/// What a run took.
struct Figures {
    seconds: f64,
    /// Pairs of a pod and a node that was looked at.
    pairs: usize,
    allocations: u64,
}

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for shape in shapes::all() {
        if !words.is_empty() && !words.iter().any(|word| shape.name.contains(word.as_str())) {
            continue;
        }
        let cluster = shape.cluster();
        let mut runs: Vec<_> = (0..RUNS).map(|_| run(&shape, &cluster)).skip(1).collect();
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        report(&shape, &runs[runs.len() / 2]);
    }
    fork();
}

#[expect(clippy::cast_precision_loss, reason = "figures need no more than 52 bits")]
fn report(shape: &Shape, figures: &Figures) {
    let pods = shape.measured.len() as f64;
    println!("core/{} {:.0} pods/s", shape.name, pods / figures.seconds);
    if shape.name == "basic" {
        println!("core/ns-per-pair {:.1} ns", figures.seconds * 1e9 / figures.pairs as f64);
        println!("core/allocs-per-pod {:.1}", figures.allocations as f64 / pods);
    }
}

fn run(shape: &Shape, cluster: &Snapshot) -> Figures {
    let mut snapshot = cluster.fork();
    let (profile, mut rng, mut reuse) = (Profile::default(), Rng::with_seed(1), Reuse::default());
    let (before, started) = (alloc::count(), Instant::now());
    let mut pairs = 0;
    for pod in &shape.measured {
        pairs += place(&mut snapshot, pod, &profile, &mut rng, &mut reuse);
    }
    let seconds = started.elapsed().as_secs_f64();
    let allocations = alloc::count() - before;
    for pod in &shape.measured {
        assert!(snapshot.pod(&pod.key).is_some(), "{} found no place", pod.key);
    }
    Figures { seconds, pairs, allocations }
}

/// Places a pod, over its victims if need be; says how many nodes were looked at.
fn place(
    snapshot: &mut Snapshot,
    pod: &PodInfo,
    profile: &Profile,
    rng: &mut Rng,
    reuse: &mut Reuse,
) -> usize {
    let decision = reuse.schedule(snapshot, pod, profile, rng);
    let looked_at = decision.feasible.len() + decision.refused.len();
    if let Some(node) = decision.node() {
        snapshot.assume(pod, node);
    } else if let Some(way) = decision.preemption {
        let node: Arc<str> = snapshot.view(way.node).name().into();
        snapshot.nominate(Arc::new(pod.clone()), Arc::clone(&node));
        way.victims.iter().for_each(|victim| snapshot.remove_pod(victim));
        // The API server hands the pod back with the node that is nominated for it.
        let mut object = (*pod.object).clone();
        object.status.get_or_insert_default().nominated_node_name = Some(node.to_string());
        let nominated = PodInfo { object: Arc::new(object), ..pod.clone() };
        let decision = reuse.schedule(snapshot, &nominated, profile, rng);
        if let Some(node) = decision.node() {
            snapshot.assume(&nominated, node);
        }
    }
    looked_at
}

#[expect(clippy::cast_precision_loss, reason = "figures need no more than 52 bits")]
fn fork() {
    const FORKS: u32 = 10_000;
    let shape = shapes::basic();
    let snapshot = shape.cluster();
    let (pod, node) = (&shape.measured[0], "node-77".into());
    let started = Instant::now();
    for _ in 0..FORKS {
        snapshot.fork().assume(pod, &node);
    }
    println!("core/fork-and-place {:.0} ns", started.elapsed().as_nanos() as f64 / f64::from(FORKS));
}
