//! Why is this pod pending, and would another node help?
//!
//! `kubectl get nodes,pods -A -o json | cargo run --example scheduler_why_pending -- - [--add-node-like NODE]`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod dump;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use dump::Dump;
use examples::Failure;
use fastrand::Rng;
use kube_sched::framework::Profile;
use kube_sched::{Decision, NodeInfo, PodInfo, Snapshot, schedule};

/// Explains every pending pod of a cluster dump.
#[derive(Parser)]
struct Flags {
    /// The output of `kubectl get nodes,pods -A -o json`; `-` reads standard input.
    dump: PathBuf,
    /// Only this pod, `NAMESPACE/NAME`.
    #[arg(long)]
    pod: Option<String>,
    /// Also asks what would happen with one more node of the shape of this one, empty and ready.
    #[arg(long, value_name = "NODE")]
    add_node_like: Option<String>,
}

fn main() -> Result<(), Failure> {
    let flags = Flags::parse();
    let dump = Dump::read(&flags.dump)?;
    let snapshot = Snapshot::from_objects(&dump.nodes, &dump.pods)?;
    let larger = flags.add_node_like.as_deref().map(|name| with_node_like(&snapshot, name)).transpose()?;
    for pod in dump.pods {
        let pod = PodInfo::parse(pod)?;
        let asked_for = flags.pod.as_deref().is_none_or(|wanted| wanted == &*pod.key);
        if asked_for && pod.node_name.is_none() && !pod.is_finished() {
            explain(&snapshot, larger.as_ref(), &pod);
        }
    }
    Ok(())
}

/// What-if: a fork costs nothing, and the cluster itself stays as it is.
fn with_node_like(snapshot: &Snapshot, name: &str) -> Result<Snapshot, Failure> {
    let view = snapshot.node(name).ok_or_else(|| format!("there is no node {name}"))?;
    let mut node = view.info().map(|info| NodeInfo::clone(info)).unwrap_or_default();
    node.name = "one-more".into();
    node.labels.insert("kubernetes.io/hostname".to_owned(), "one-more".to_owned());
    node.unschedulable = false;
    node.taints.retain(|taint| !taint.key.starts_with("node.kubernetes.io/"));
    let mut fork = snapshot.fork();
    fork.upsert_node(Arc::new(node));
    Ok(fork)
}

fn explain(snapshot: &Snapshot, larger: Option<&Snapshot>, pod: &PodInfo) {
    let decide = |snapshot| schedule(snapshot, pod, &Profile::default(), &mut Rng::with_seed(1));
    let decision = decide(snapshot);
    match decision.node() {
        Some(node) => println!("{}: would run on {node}", pod.key),
        None => {
            println!("{}: {}", pod.key, decision.message());
            by_reason(snapshot, &decision);
        }
    }
    let Some(larger) = larger else { return };
    match decide(larger).node() {
        Some(node) => println!("  with one more node: runs on {node}"),
        None => println!("  with one more node: still pending: {}", decide(larger).message()),
    }
}

/// Which plugin refuses which nodes, and why.
fn by_reason(snapshot: &Snapshot, decision: &Decision) {
    let mut nodes: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for refused in &decision.refused {
        let name = snapshot.view(refused.node).name();
        nodes.entry((refused.plugin, refused.status.message())).or_default().push(name);
    }
    for ((plugin, reason), names) in nodes {
        println!("  {plugin}: {reason}: {}", names.join(", "));
    }
}
