//! The embedded runtime and the routed network against the conformance suites.

use std::sync::Arc;

use kube_node::seam::Runtime;
use kube_node::testing::{NetworkHarness, RuntimeHarness, image_suite, network_suite, runtime_suite};

use super::network::open;
use super::node::{HostNetwork, Node, build_image, skip};

const NAMED: &str = "docker.io/library/tools:latest";

#[tokio::test]
async fn root_the_embedded_runtime_keeps_the_contract() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    build_image(&node.runtime, NAMED).await;
    let logs = node.dir.path().join("logs");
    let mut harness = RuntimeHarness::with_shell(Arc::new(node.runtime.clone()), NAMED, &["sh"], logs);
    harness.cgroup_parent = "/kube-node-test".into();
    runtime_suite(&harness).await;
    drop(harness);
    image_suite(&*node.runtime.images(), NAMED).await;
    node.finish().await;
}

#[tokio::test]
async fn root_the_routed_network_keeps_the_contract() {
    if skip() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = HostNetwork::new();
    let pods = [HostNetwork::new(), HostNetwork::new()];
    let network = Arc::new(open(dir.path(), &host).await);
    network_suite(&NetworkHarness::new(network, pods.each_ref().map(|pod| pod.path.clone()))).await;
}
