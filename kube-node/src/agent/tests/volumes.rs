//! Volumes of drivers over the life of pods and agents.

use super::*;
use crate::testing::FakeStorage;

/// A cluster with a bound claim `data`, a driver, and a disk.
fn cluster() -> (Cluster, Arc<FakeStorage>, tempfile::TempDir) {
    let (cluster, folder) = (Cluster::new(), tempfile::tempdir().expect("a directory"));
    let spec = json!({"csi": {"driver": "fake.example", "volumeHandle": "v1"}});
    cluster.api.put("persistentvolumes", json!({"metadata": {"name": "pv"}, "spec": spec}));
    cluster.api.put(
        "persistentvolumeclaims",
        json!({"metadata": {"name": "data", "namespace": "default"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}),
    );
    let driver = Arc::new(FakeStorage::new("fake.example", folder.path().join("volumes")));
    (cluster, driver, folder)
}

fn config(folder: &tempfile::TempDir) -> Config {
    Config { root_dir: folder.path().join("root"), log_dir: folder.path().join("logs"), ..Config::default() }
}

fn claiming(name: &str) -> Value {
    let mut pod = pod(name, "Always", json!([{"name": "c", "image": "web"}]));
    pod["spec"]["volumes"] = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
    pod
}

async fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never {what}");
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True"
}

#[tokio::test(start_paused = true)]
async fn the_last_pod_of_a_volume_takes_it_off_the_node() {
    let (cluster, driver, folder) = cluster();
    cluster.start_with(config(&folder), vec![driver.clone()]);
    for name in ["a", "b"] {
        cluster.api.put("pods", claiming(name));
        cluster.until(name, "ready", is_ready).await;
    }
    assert_eq!((driver.staged().len(), driver.published().len()), (1, 2));
    cluster.api.delete("a", 1);
    eventually("unpublished", || driver.published().len() == 1).await;
    // Longer than an audit takes to come round.
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(driver.staged(), ["v1"]);
    cluster.api.delete("b", 1);
    eventually("unstaged", || driver.staged().is_empty()).await;
    assert!(driver.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_volume_whose_pod_went_while_nobody_watched_is_unstaged_too() {
    let (cluster, driver, folder) = cluster();
    let (end, task) = cluster.start_with(config(&folder), vec![driver.clone()]);
    cluster.api.put("pods", claiming("a"));
    cluster.until("a", "ready", is_ready).await;
    end.cancel();
    task.await.expect("the agent ends");
    assert_eq!((driver.staged().len(), driver.published().len()), (1, 1), "its end touches nothing");
    cluster.api.delete("a", 0);
    cluster.start_with(config(&folder), vec![driver.clone()]);
    eventually("unstaged", || driver.staged().is_empty()).await;
    assert!(driver.published().is_empty());
}
