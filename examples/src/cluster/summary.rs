use std::collections::BTreeSet;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client};

use super::{Flags, Runtime};
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
    let nodes = Api::<Node>::all(client.clone()).list(&all).await?.items;
    let pods = Api::<Pod>::all(client.clone()).list(&all).await?.items;
    let services = Api::<Service>::default_namespaced(client.clone()).list(&all).await?.items;
    let name = |meta: &kube::core::ObjectMeta| meta.name.clone().unwrap_or_default();
    let mut text = String::from("\n");
    let _ = writeln!(text, "  nodes     {}", list(&nodes.iter().map(|node| name(&node.metadata)).collect()));
    let _ = writeln!(text, "  pods      {}", list(&pods.iter().map(|pod| name(&pod.metadata)).collect()));
    for service in &services {
        let spec = service.spec.clone().unwrap_or_default();
        let ports: Vec<_> = spec.ports.iter().flatten().map(|port| port.port.to_string()).collect();
        let address = spec.cluster_ip.unwrap_or_default();
        let _ =
            writeln!(text, "  service   {} at {address}, port {}", name(&service.metadata), ports.join(", "));
    }
    let _ = write!(
        text,
        "\n  export KUBECONFIG={}\n  kubectl get nodes -o wide\n  kubectl get pods -A\n  kubectl create deployment web --image={} --replicas=3\n\n  Ctrl-C stops the cluster; kubectl get pods keeps answering until then.",
        flags.kubeconfig().display(),
        crate::demo_image::NAME,
    );
    Ok(text)
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
