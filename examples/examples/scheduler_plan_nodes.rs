//! How many nodes do the pending pods need, and can this node be emptied?
//!
//! `kubectl get nodes,pods -A -o json | cargo run --example scheduler_plan_nodes -- - estimate --like NODE`
//! `kubectl get nodes,pods -A -o json | cargo run --example scheduler_plan_nodes -- - drain NODE`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod dump;

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use dump::Dump;
use examples::Failure;
use fastrand::Rng;
use k8s_openapi::api::core::v1::Pod;
use kube_sched::framework::Profile;
use kube_sched::{NodeInfo, PodInfo, Snapshot, schedule};

/// Plans nodes on forks of a cluster's snapshot.
#[derive(Parser)]
struct Flags {
    /// The output of `kubectl get nodes,pods -A -o json`; `-` reads standard input.
    dump: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Adds nodes until all pending pods fit: first fit, largest pods first.
    Estimate {
        /// The node whose shape the new ones have.
        #[arg(long, value_name = "NODE")]
        like: String,
        /// Never more than this.
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// Looks for places for all pods of a node.
    Drain {
        /// The node.
        node: String,
    },
}

fn main() -> Result<(), Failure> {
    let flags = Flags::parse();
    let dump = Dump::read(&flags.dump)?;
    let snapshot = Snapshot::from_objects(&dump.nodes, &dump.pods)?;
    match flags.what {
        What::Estimate { like, max } => {
            let pods = dump.pods.into_iter().map(PodInfo::parse).collect::<Result<Vec<_>, _>>()?;
            let pending = pods.into_iter().filter(|pod| pod.node_name.is_none() && !pod.is_finished());
            let shape = shape(&snapshot, &like)?;
            let (added, left) = estimate(snapshot.fork(), pending.collect(), &shape, max);
            println!("{added} more nodes like {like}");
            left.iter().for_each(|pod| println!("{} would still be pending", pod.key));
        }
        What::Drain { node } => {
            for (pod, place) in drain(snapshot.fork(), &node)? {
                match place {
                    Ok(node) => println!("{} -> {node}", pod.key),
                    Err(message) => println!("{} stays: {message}", pod.key),
                }
            }
        }
    }
    Ok(())
}

fn shape(snapshot: &Snapshot, name: &str) -> Result<NodeInfo, Failure> {
    let info = snapshot.node(name).and_then(|view| view.info());
    let mut node = NodeInfo::clone(info.ok_or_else(|| format!("there is no node {name}"))?);
    node.unschedulable = false;
    node.taints.retain(|taint| !taint.key.starts_with("node.kubernetes.io/"));
    Ok(node)
}

/// The pod's place, which is taken from then on.
fn place(fork: &mut Snapshot, pod: &PodInfo) -> Result<Arc<str>, String> {
    let decision = schedule(fork, pod, &Profile::default(), &mut Rng::with_seed(1));
    let node = decision.node().cloned().ok_or_else(|| decision.message())?;
    fork.assume(pod, &node);
    Ok(node)
}

/// How many nodes of a shape the pods need, and the pods that even those do not help.
fn estimate(
    mut fork: Snapshot,
    mut pods: Vec<PodInfo>,
    shape: &NodeInfo,
    max: usize,
) -> (usize, Vec<PodInfo>) {
    pods.sort_by_key(|pod| Reverse((pod.requests.base.milli_cpu, pod.requests.base.memory)));
    let (mut added, mut left) = (0, Vec::new());
    for pod in pods {
        if place(&mut fork, &pod).is_ok() {
            continue;
        }
        // A new node is kept only if it helps; otherwise the fork is thrown away.
        let mut larger = fork.fork();
        larger.upsert_node(Arc::new(numbered(shape, added)));
        if added < max && place(&mut larger, &pod).is_ok() {
            (fork, added) = (larger, added + 1);
        } else {
            left.push(pod);
        }
    }
    (added, left)
}

fn numbered(shape: &NodeInfo, number: usize) -> NodeInfo {
    let name = format!("new-{number}");
    let mut node = NodeInfo { name: name.as_str().into(), ..shape.clone() };
    node.labels.insert("kubernetes.io/hostname".to_owned(), name);
    node
}

type Move = (PodInfo, Result<Arc<str>, String>);

/// Where the pods of a node would go. Those of daemon sets go nowhere.
fn drain(mut fork: Snapshot, name: &str) -> Result<Vec<Move>, Failure> {
    let view = fork.node(name).ok_or_else(|| format!("there is no node {name}"))?;
    let info = view.info().map(|info| NodeInfo::clone(info)).unwrap_or_default();
    let pods: Vec<_> = view.pods().iter().filter(|pod| !of_daemon_set(pod)).cloned().collect();
    fork.upsert_node(Arc::new(NodeInfo { unschedulable: true, ..info }));
    for pod in &pods {
        fork.remove_pod(&pod.key);
    }
    let moved = pods.iter().map(|pod| {
        let mut object = Pod::clone(&pod.object);
        object.spec.get_or_insert_default().node_name = None;
        let free = PodInfo::parse(object)?;
        let place = place(&mut fork, &free);
        Ok((free, place))
    });
    moved.collect()
}

fn of_daemon_set(pod: &PodInfo) -> bool {
    pod.object.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "DaemonSet")
}
