use std::sync::Arc;

use kube_node::seam::Runtime;
use kube_node::testing::{RuntimeHarness, image_suite, runtime_suite};

use super::containerd::{Containerd, import};

const NAMED: &str = "docker.io/library/busybox:latest";

#[tokio::test]
async fn root_containerd_keeps_the_contract() {
    let Some(containerd) = Containerd::start().await else { return };
    import(containerd.dir.path(), &containerd.busybox, NAMED);
    let (runtime, logs) = (Arc::new(containerd.runtime.clone()), containerd.dir.path().join("logs"));
    let mut harness = RuntimeHarness::with_shell(runtime, NAMED, &["/bin/busybox", "sh"], logs);
    // Debian's containerd streams in version 4.
    harness.ends_input = false;
    runtime_suite(&harness).await;
    image_suite(&*containerd.runtime.images(), NAMED).await;
}
