//! The scheduler without any API server: where would this pod go, and if nowhere, why?
//!
//! `cargo run --example embed_scheduler`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use k8s_openapi::api::core::v1::{Node, Pod};
use kube_sched::framework::Profile;
use kube_sched::{PodInfo, Snapshot, schedule};
use serde_json::json;

fn node(name: &str, cpu: &str) -> Result<Node, serde_json::Error> {
    let resources = json!({"cpu": cpu, "memory": "8Gi", "pods": "110"});
    serde_json::from_value(
        json!({"metadata": {"name": name}, "status": {"capacity": resources, "allocatable": resources}}),
    )
}

fn pod(name: &str, cpu: &str) -> Result<Pod, serde_json::Error> {
    let container = json!({"name": "main", "image": "app", "resources": {"requests": {"cpu": cpu}}});
    serde_json::from_value(
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}}),
    )
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let snapshot = Snapshot::from_objects(&[node("small", "2")?, node("large", "8")?], &[])?;
    let profile = Profile::default();
    for wanted in [pod("modest", "1")?, pod("greedy", "6")?, pod("impossible", "64")?] {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let decision =
            schedule(&snapshot, &PodInfo::parse(wanted)?, &profile, &mut fastrand::Rng::with_seed(1));
        match decision.node() {
            Some(node) => println!("{name} goes to {node}"),
            None => println!("{name} stays pending: {}", decision.message()),
        }
    }
    Ok(())
}
