//! How many nodes do the pending pods need, can this node be emptied, and how well are the nodes packed?
//!
//! `kubectl get nodes,pods -A -o json | cargo run --example scheduler_plan_nodes -- - estimate --like NODE`
//! `kubectl get nodes,pods -A -o json | cargo run --example scheduler_plan_nodes -- - drain NODE`
//! `kubectl get nodes,pods -A -o json | cargo run --example scheduler_plan_nodes -- - pack`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod dump;

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use dump::Dump;
use examples::Failure;
use fastrand::Rng;
use kube_sched::framework::{EnabledPlugin, Profile};
use kube_sched::plugins::NodeResourcesFit;
use kube_sched::snapshot::NodeView;
use kube_sched::{NodeInfo, PodInfo, Snapshot, schedule};
use serde_json::json;

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
    /// Tells how full the nodes are, and on how few of them the pods would fit.
    Pack,
}

fn main() -> Result<(), Failure> {
    let flags = Flags::parse();
    for line in report(&flags.what, Dump::read(&flags.dump)?)? {
        println!("{line}");
    }
    Ok(())
}

fn report(what: &What, dump: Dump) -> Result<Vec<String>, Failure> {
    let snapshot = Snapshot::from_objects(&dump.nodes, &dump.pods)?;
    Ok(match what {
        What::Estimate { like, max } => {
            let pods = dump.pods.into_iter().map(PodInfo::parse).collect::<Result<Vec<_>, _>>()?;
            let pending = pods.into_iter().filter(|pod| pod.node_name.is_none() && !pod.is_finished());
            let (added, left) = estimate(snapshot.fork(), pending.collect(), &shape(&snapshot, like)?, *max);
            let first = match added {
                0 => "no more nodes are needed".to_owned(),
                1 => format!("1 more node like {like}"),
                more => format!("{more} more nodes like {like}"),
            };
            let left = left.iter().map(|pod| format!("{} would still be pending", pod.key));
            std::iter::once(first).chain(left).collect()
        }
        What::Drain { node } => {
            let line = |(pod, place): Move| match place {
                Ok(node) => format!("{} -> {node}", pod.key),
                Err(message) => format!("{} stays: {message}", pod.key),
            };
            drain(snapshot.fork(), node)?.into_iter().map(line).collect()
        }
        What::Pack => pack(&snapshot)?,
    })
}

fn shape(snapshot: &Snapshot, name: &str) -> Result<NodeInfo, Failure> {
    let info = snapshot.node(name).and_then(|view| view.info());
    let mut node = NodeInfo::clone(info.ok_or_else(|| format!("there is no node {name}"))?);
    node.unschedulable = false;
    node.taints.retain(|taint| !taint.key.starts_with("node.kubernetes.io/"));
    Ok(node)
}

/// The pod's place, which is taken from then on.
fn place(fork: &mut Snapshot, pod: &PodInfo, profile: &Profile) -> Result<Arc<str>, String> {
    let decision = schedule(fork, pod, profile, &mut Rng::with_seed(1));
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
    largest_first(&mut pods);
    let (mut added, mut left, profile) = (0, Vec::new(), dump::profile());
    for pod in pods {
        if place(&mut fork, &pod, &profile).is_ok() {
            continue;
        }
        // A new node is kept only if it helps; otherwise the fork is thrown away.
        let mut larger = fork.fork();
        larger.upsert_node(Arc::new(numbered(shape, added)));
        if added < max && place(&mut larger, &pod, &profile).is_ok() {
            (fork, added) = (larger, added + 1);
        } else {
            left.push(pod);
        }
    }
    (added, left)
}

fn largest_first(pods: &mut [PodInfo]) {
    pods.sort_by_key(|pod| Reverse((pod.requests.base.milli_cpu, pod.requests.base.memory)));
}

fn numbered(shape: &NodeInfo, number: usize) -> NodeInfo {
    let name = format!("new-{number}");
    let mut node = NodeInfo { name: name.as_str().into(), ..shape.clone() };
    node.labels.insert("kubernetes.io/hostname".to_owned(), name);
    node
}

type Move = (PodInfo, Result<Arc<str>, String>);

/// Where the pods of a node would go. Those that belong to the node go nowhere.
fn drain(mut fork: Snapshot, name: &str) -> Result<Vec<Move>, Failure> {
    let view = fork.node(name).ok_or_else(|| format!("there is no node {name}"))?;
    let info = view.info().map(|info| NodeInfo::clone(info)).unwrap_or_default();
    let mut pods: Vec<_> = view.pods().iter().filter(|pod| !stays(pod)).cloned().collect();
    pods.sort_by(|a, b| a.key.cmp(&b.key));
    fork.upsert_node(Arc::new(NodeInfo { unschedulable: true, ..info }));
    for pod in &pods {
        fork.remove_pod(&pod.key);
    }
    let profile = dump::profile();
    let moved = pods.iter().map(|pod| {
        let free = unbound(pod)?;
        let place = place(&mut fork, &free, &profile);
        Ok((free, place))
    });
    moved.collect()
}

/// The pod before it had a node.
fn unbound(pod: &PodInfo) -> Result<PodInfo, Failure> {
    let mut object = pod.to_object();
    object.spec.get_or_insert_default().node_name = None;
    Ok(PodInfo::parse(object)?)
}

/// Whether a pod belongs to its node: a daemon set's, or a static one.
fn stays(pod: &PodInfo) -> bool {
    let mut owners = pod.template.metadata.owner_references.iter().flatten();
    owners.any(|owner| matches!(owner.kind.as_str(), "DaemonSet" | "Node"))
}

/// How full each node is, and how many would do if every pod that can move went to the fullest node that has room.
fn pack(snapshot: &Snapshot) -> Result<Vec<String>, Failure> {
    let mut lines: Vec<_> = snapshot.nodes().map(fullness).collect();
    lines.sort_unstable();
    let (mut fork, profile) = (snapshot.fork(), packing()?);
    let mobile =
        |view: NodeView<'_>| view.pods().iter().filter(|pod| !stays(pod)).cloned().collect::<Vec<_>>();
    let busy = |snapshot: &Snapshot| snapshot.nodes().filter(|view| !mobile(*view).is_empty()).count();
    let mut pods = Vec::new();
    for pod in snapshot.nodes().flat_map(mobile) {
        fork.remove_pod(&pod.key);
        pods.push(unbound(&pod)?);
    }
    largest_first(&mut pods);
    let homeless = pods.iter().filter(|pod| place(&mut fork, pod, &profile).is_err()).count();
    lines.push(match homeless {
        0 => format!(
            "{} pods that can move are on {} nodes and would fit on {}",
            pods.len(),
            busy(snapshot),
            busy(&fork)
        ),
        _ => {
            format!("{homeless} of {} pods found no node: packing them anew takes some luck here", pods.len())
        }
    });
    Ok(lines)
}

/// Prefers the fullest node, and nothing else.
fn packing() -> Result<Profile, Failure> {
    let mut profile = dump::profile();
    profile
        .plugins
        .retain(|enabled| enabled.plugin.as_score().is_none() || enabled.plugin.as_filter().is_some());
    profile.plugins.iter_mut().for_each(|enabled| enabled.weight = 0);
    let fit = json!({"scoringStrategy": {"type": "MostAllocated"}});
    for enabled in
        profile.plugins.iter_mut().filter(|enabled| enabled.plugin.name() == NodeResourcesFit::NAME)
    {
        *enabled = EnabledPlugin { plugin: Arc::new(NodeResourcesFit::from_args(&fit)?), weight: 1 };
    }
    Ok(profile)
}

fn fullness(node: NodeView<'_>) -> String {
    let (total, used) = (node.allocatable(), node.requested());
    let percent = |used: i64, total: i64| used.saturating_mul(100).checked_div(total).unwrap_or_default();
    format!(
        "{}: cpu {}%, memory {}%, {} of {} pods",
        node.name(),
        percent(used.milli_cpu, total.milli_cpu),
        percent(used.memory, total.memory),
        used.pods,
        total.pods
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(args: &[&str]) -> Vec<String> {
        let flags = Flags::parse_from([&["plan", "-"], args].concat());
        report(&flags.what, Dump::parse(dump::SAMPLE).unwrap()).unwrap()
    }

    #[test]
    fn pending_pods_get_as_many_nodes_as_they_need() {
        assert_eq!(lines(&["estimate", "--like", "worker-1"]), ["1 more node like worker-1"]);
        let none = lines(&["estimate", "--like", "worker-1", "--max", "0"]);
        assert_eq!(none, ["no more nodes are needed", "shop/batch would still be pending"]);
    }

    #[test]
    fn a_drain_plan_has_a_line_for_each_pod_that_must_go() {
        assert_eq!(lines(&["drain", "worker-1"])[1..], ["shop/web-1 -> worker-2".to_owned()]);
        assert!(lines(&["drain", "worker-1"])[0].starts_with("shop/database-0 -> worker-2"));
        assert!(lines(&["drain", "control-plane"]).is_empty(), "what belongs to the node stays");
    }

    #[test]
    fn a_packing_report_says_how_full_nodes_are_and_how_few_would_do() {
        assert_eq!(
            lines(&["pack"]),
            [
                "control-plane: cpu 20%, memory 6%, 2 of 110 pods",
                "worker-1: cpu 57%, memory 33%, 3 of 110 pods",
                "worker-2: cpu 20%, memory 9%, 2 of 110 pods",
                "3 pods that can move are on 2 nodes and would fit on 1",
            ]
        );
    }
}
