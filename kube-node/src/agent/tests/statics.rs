//! Static pods and their mirrors.

use super::*;

/// A cluster and an empty folder for manifests.
fn cluster() -> (Cluster, tempfile::TempDir) {
    (Cluster::new(), tempfile::tempdir().expect("a directory"))
}

fn config(folder: &tempfile::TempDir) -> Config {
    Config { static_pod_path: Some(folder.path().to_owned()), files: Files::Skip, ..Config::default() }
}

/// Writes the manifest of a pod `etcd`.
fn write(folder: &tempfile::TempDir, image: &str) {
    let manifest = format!("metadata: {{name: etcd}}\nspec:\n  containers: [{{name: c, image: {image}}}]\n");
    std::fs::write(folder.path().join("etcd.yaml"), manifest).expect("written");
}

impl Cluster {
    fn mirror(&self) -> Option<Value> {
        self.api.get("pods", "default", "etcd-n1")
    }

    async fn ready_mirror(&self, image: &str) -> Value {
        let ready = |p: &Value| {
            condition(p, "Ready")["status"] == "True" && p["spec"]["containers"][0]["image"] == image
        };
        self.until("etcd-n1", "ready", ready).await
    }

    async fn images(&self) -> Vec<String> {
        self.containers().await.into_iter().map(|c| c.image).collect()
    }
}

fn annotation<'a>(pod: &'a Value, name: &str) -> &'a Value {
    &pod["metadata"]["annotations"][format!("kubernetes.io/config.{name}")]
}

#[tokio::test(start_paused = true)]
async fn a_manifest_runs_and_is_shown() {
    let (cluster, folder) = cluster();
    write(&folder, "etcd:1");
    cluster.start_with(config(&folder), Vec::new());
    let mirror = cluster.ready_mirror("etcd:1").await;
    assert_eq!(
        (annotation(&mirror, "source"), mirror["spec"]["nodeName"].as_str()),
        (&json!("file"), Some("n1"))
    );
    assert_eq!(annotation(&mirror, "mirror"), annotation(&mirror, "hash"));
    assert_eq!(mirror["metadata"]["ownerReferences"][0]["kind"], "Node");
    let node = cluster.api.get("nodes", "", "n1").expect("the node");
    assert_eq!(mirror["metadata"]["ownerReferences"][0]["uid"], node["metadata"]["uid"]);
    assert_eq!(phase(&mirror), "Running");
    let sandboxes = cluster.runtime.sandboxes(&SandboxFilter::default()).await.expect("sandboxes");
    assert_eq!(sandboxes.len(), 1, "the mirror itself does not run");
    assert_eq!(json!(sandboxes[0].pod.uid), *annotation(&mirror, "hash"));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(cluster.mirror(), Some(mirror), "nothing changes any more");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_mirror_comes_back_and_its_pod_does_not_notice() {
    let (cluster, folder) = cluster();
    write(&folder, "etcd:1");
    cluster.start_with(config(&folder), Vec::new());
    let first = cluster.ready_mirror("etcd:1").await;
    let before = cluster.containers().await;
    for grace in [0, 30] {
        let old = cluster.mirror().expect("a mirror")["metadata"]["uid"].clone();
        cluster.api.delete("etcd-n1", grace);
        let again = |p: &Value| p["metadata"]["uid"] != old && condition(p, "Ready")["status"] == "True";
        let mirror = cluster.until("etcd-n1", "another", again).await;
        assert_eq!(mirror["spec"], first["spec"]);
    }
    assert_eq!(cluster.containers().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_changed_manifest_is_another_pod_and_a_removed_one_none() {
    let (cluster, folder) = cluster();
    let slow = Script { stop_takes: Duration::from_secs(5), ..Script::default() };
    cluster.runtime.script("etcd:1", slow);
    write(&folder, "etcd:1");
    cluster.start_with(config(&folder), Vec::new());
    let first = cluster.ready_mirror("etcd:1").await;
    write(&folder, "etcd:2");
    // Read after 20 s at the latest; then the old one takes its 5 s.
    let mut seen = Vec::new();
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let running = cluster.containers().await;
        let running = running.iter().filter(|c| c.state == ContainerState::Running).count();
        seen.push(running);
    }
    assert!(seen.iter().all(|running| *running <= 1), "never both: {seen:?}");
    let second = cluster.ready_mirror("etcd:2").await;
    assert_ne!(annotation(&first, "mirror"), annotation(&second, "mirror"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(cluster.images().await, ["etcd:2"]);
    std::fs::remove_file(folder.path().join("etcd.yaml")).expect("removed");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((cluster.mirror(), cluster.images().await.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn what_only_looks_like_a_static_pod_is_none() {
    let (cluster, folder) = cluster();
    let with = |name: &str, annotations: Value| {
        let mut pod = pod(name, "Always", json!([{"name": "c", "image": "web"}]));
        pod["metadata"]["annotations"] = annotations;
        cluster.api.put("pods", pod);
    };
    with("orphan", json!({"kubernetes.io/config.mirror": "x", "kubernetes.io/config.source": "file"}));
    with("forged", json!({"kubernetes.io/config.source": "file"}));
    cluster.start_with(config(&folder), Vec::new());
    cluster.until("forged", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    assert_eq!(cluster.api.get("pods", "default", "orphan"), None, "nothing is behind it");
    assert_eq!(cluster.images().await, ["web"]);
    cluster.api.delete("forged", 0);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(cluster.images().await.is_empty(), "the API server decides about it");
}
