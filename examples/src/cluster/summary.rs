use std::collections::BTreeSet;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::Client;
use kube::api::{DynamicObject, ListParams};

use super::{Flags, Runtime, Store, objects};
use crate::{Failure, machine};

/// The first line: what is about to run.
pub(super) fn greeting(flags: &Flags) -> String {
    let how = match (machine::is_root(), flags.runtime()) {
        (false, Runtime::Fake) => {
            "not root: containers are simulated and Services are served from user space"
        }
        (_, Runtime::Fake) => "containers are simulated",
        (_, Runtime::Embedded) => "containers run in the embedded runtime",
        (_, Runtime::Cri(_)) => "containers run in a CRI runtime",
    };
    format!("Kubernetes v1.35 in one process, state in {}; {how}", flags.data_dir.display())
}

/// What runs, and what to try next.
pub(super) async fn summary(flags: &Flags, client: &Client) -> Result<String, Failure> {
    let all = ListParams::default();
    let nodes = objects::all::<Node>(client).list(&all).await?.items;
    let pods = objects::all::<Pod>(client).list(&all).await?.items;
    let services = objects::namespaced::<Service>(client, "default").list(&all).await?.items;
    let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
    let mut text = String::from("\n");
    let _ = writeln!(text, "  nodes     {}", list(&nodes.iter().map(name).collect()));
    let _ = writeln!(text, "  pods      {}", list(&pods.iter().map(name).collect()));
    for service in &services {
        let spec = &service.data["spec"];
        let ports = spec["ports"].as_array().into_iter().flatten();
        let ports: Vec<_> = ports.map(|port| port["port"].to_string()).collect();
        let address = spec["clusterIP"].as_str().unwrap_or_default();
        let _ = writeln!(text, "  service   {} at {address}, port {}", name(service), ports.join(", "));
    }
    let image = match flags.runtime() {
        Runtime::Cri(_) => "IMAGE",
        Runtime::Embedded | Runtime::Fake => crate::demo_image::NAME,
    };
    let _ = write!(
        text,
        "\n  export KUBECONFIG={}\n  kubectl get nodes -o wide\n  kubectl get pods -A\n  kubectl create deployment web --image={image} --replicas=3\n\n  Ctrl-C stops the cluster{}",
        flags.kubeconfig().display(),
        what_stays(flags),
    );
    Ok(text)
}

/// What outlives the cluster's end, as the rest of a sentence.
pub(super) fn what_stays(flags: &Flags) -> &'static str {
    match (flags.runtime(), &flags.store) {
        (Runtime::Fake, Store::Memory) => ", and everything is gone.",
        (Runtime::Fake, _) => "; the next start with the same --data-dir goes on from here.",
        (_, Store::Memory) => "; its containers run until the next start, which knows nothing of them.",
        _ => "; its containers go on, and the next start with the same --data-dir adopts them.",
    }
}

/// Names, separated by commas; the first few of many.
pub(super) fn list(names: &BTreeSet<String>) -> String {
    let shown: Vec<_> = names.iter().take(8).map(String::as_str).collect();
    match names.len() {
        0 => "none".into(),
        n if n > shown.len() => format!("{}, … ({n})", shown.join(", ")),
        _ => shown.join(", "),
    }
}
