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
use kube_sched::snapshot::GateView;
use kube_sched::{Decision, NodeInfo, PodInfo, Snapshot, schedule};

/// Explains every pending pod of a cluster dump. Volumes and devices are left out: the dump does not say what there is of them.
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
    for line in explanations(&flags, Dump::read(&flags.dump)?)? {
        println!("{line}");
    }
    Ok(())
}

fn explanations(flags: &Flags, dump: Dump) -> Result<Vec<String>, Failure> {
    let snapshot = Snapshot::from_objects(&dump.nodes, &dump.pods)?;
    let larger = flags.add_node_like.as_deref().map(|name| with_node_like(&snapshot, name)).transpose()?;
    let (profile, mut lines) = (dump::profile(), Vec::new());
    for pod in dump.pods {
        let pod = PodInfo::parse(pod)?;
        let asked_for = flags.pod.as_deref().is_none_or(|wanted| wanted == &*pod.key);
        if asked_for && pod.node_name.is_none() && !pod.is_finished() && !pod.is_terminating() {
            lines.extend(explain(&snapshot, larger.as_ref(), &pod, &profile));
        }
    }
    if lines.is_empty() {
        lines.push("no such pod is pending".to_owned());
    }
    Ok(lines)
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

fn explain(snapshot: &Snapshot, larger: Option<&Snapshot>, pod: &PodInfo, profile: &Profile) -> Vec<String> {
    if let Some(reason) = held_back(pod, profile) {
        return vec![format!("{}: {reason}", pod.key)];
    }
    let decide = |snapshot| schedule(snapshot, pod, profile, &mut Rng::with_seed(1));
    let decision = decide(snapshot);
    if let Some(node) = decision.node() {
        return vec![format!("{}: would run on {node}", pod.key)];
    }
    let mut lines = vec![format!("{}: {}", pod.key, decision.message())];
    lines.extend(by_reason(snapshot, &decision));
    if let Some(way) = &decision.preemption {
        let node = snapshot.view(way.node).name();
        lines.push(format!("  would run on {node} once {} are evicted", way.victims.join(", ")));
    }
    let Some(larger) = larger else { return lines };
    let decision = decide(larger);
    lines.push(match decision.node() {
        Some(node) => format!("  with one more node: runs on {node}"),
        None => format!("  with one more node: still pending: {}", decision.message()),
    });
    lines
}

/// Why nobody looks for a node: gates, or another scheduler's pod.
fn held_back(pod: &PodInfo, profile: &Profile) -> Option<String> {
    if pod.scheduler_name() != profile.scheduler_name {
        return Some(format!("is left to the scheduler {}", pod.scheduler_name()));
    }
    let mut gates = profile.plugins.iter().filter_map(|enabled| enabled.plugin.as_pre_enqueue());
    gates.find_map(|gate| gate.pre_enqueue(pod, &GateView::default()).err()).map(|status| status.message())
}

/// Which plugin refuses which nodes, and why.
fn by_reason(snapshot: &Snapshot, decision: &Decision) -> Vec<String> {
    let mut nodes: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for refused in &decision.refused {
        let name = snapshot.view(refused.node).name();
        nodes.entry((refused.plugin, refused.status.message())).or_default().push(name);
    }
    let line = |((plugin, reason), names): ((&str, String), Vec<&str>)| {
        format!("  {plugin}: {reason}: {}", names.join(", "))
    };
    nodes.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pending_pod_of_a_dump_is_explained() {
        let lines = |args: &[&str]| {
            let flags = Flags::parse_from([&["why", "-"], args].concat());
            explanations(&flags, Dump::parse(dump::SAMPLE).unwrap()).unwrap()
        };
        assert_eq!(
            lines(&["--add-node-like", "worker-1"]),
            [
                "shop/database-1: would run on worker-2",
                "shop/batch: 0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu. \
                 preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
                "  NodeResourcesFit: Insufficient cpu: worker-1, worker-2",
                "  TaintToleration: node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }: control-plane",
                "  with one more node: runs on one-more",
                "shop/held: waiting for scheduling gates: [example.com/quota]",
            ]
        );
        assert_eq!(lines(&["--pod", "shop/web-1"]), ["no such pod is pending"]);
    }
}
