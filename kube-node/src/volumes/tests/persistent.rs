//! Volumes behind claims.

use std::path::Path;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    seam::{PublishVolume, StageVolume, VolumeRef, VolumeStats},
    testing::FakeStorage,
};

impl Node {
    fn driver(&self) -> Arc<FakeStorage> {
        Arc::new(FakeStorage::new("fake.example", self.folder.path().join("volumes")))
    }

    /// A claim that is bound to a volume of this kind.
    fn claim(&self, name: &str, source: Value) {
        self.put("persistentvolumes", "", &format!("pv-{name}"), json!({"spec": source}));
        let claim = json!({"spec": {"volumeName": format!("pv-{name}")}, "status": {"phase": "Bound"}});
        self.put("persistentvolumeclaims", "default", name, claim);
    }

    fn csi_claim(&self, name: &str, handle: &str) {
        self.claim(name, json!({"csi": {"driver": "fake.example", "volumeHandle": handle}}));
    }

    fn staging(&self) -> Vec<PathBuf> {
        let folder = self.root().join("plugins/kubernetes.io/csi/fake.example");
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

fn claiming(name: &str, claim: &str) -> Pod {
    pod(name, json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]))
}

#[tokio::test]
async fn claims_lead_to_their_volumes() {
    let node = Node::new();
    let volumes = node.volumes(Vec::new());
    let folder = node.folder.path().join("host");
    node.claim("host", json!({"hostPath": {"path": folder, "type": "DirectoryOrCreate"}}));
    node.claim("local", json!({"local": {"path": "/somewhere"}}));
    node.claim("odd", json!({"nfs": {"server": "x", "path": "/"}}));
    node.csi_claim("strange", "v");
    node.put(
        "persistentvolumeclaims",
        "default",
        "loose",
        json!({"spec": {}, "status": {"phase": "Pending"}}),
    );
    let host = mount(&volumes, &claiming("p", "host")).await.unwrap();
    assert!(host.volumes["data"].path == folder && folder.is_dir());
    let local = mount(&volumes, &claiming("p", "local")).await.unwrap();
    assert_eq!(local.volumes["data"].path, Path::new("/somewhere"));
    for (claim, expected) in [
        ("odd", "this kind of persistent volume is not supported"),
        ("strange", "driver name fake.example not found in the list of registered CSI drivers"),
        ("loose", "PVC default/loose is not bound"),
    ] {
        let error = mount(&volumes, &claiming("p", claim)).await.unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_volume_is_unstaged_after_its_last_pod() {
    let (node, other) = (Node::new(), "also");
    let driver = node.driver();
    let volumes = node.volumes(vec![driver.clone()]);
    node.csi_claim("one", "v1");
    // Two claims may lead to one volume.
    node.csi_claim(other, "v1");
    let first = mount(&volumes, &claiming("a", "one")).await.unwrap();
    mount(&volumes, &claiming("b", other)).await.unwrap();
    assert_eq!(
        (driver.staged(), driver.published().len(), node.staging().len()),
        (vec!["v1".to_owned()], 2, 1)
    );
    let mount_point = node.root().join("pods/uid-a/volumes/kubernetes.io~csi/data/mount");
    assert_eq!(first.volumes["data"].path, mount_point);
    std::fs::write(mount_point.join("f"), "data").unwrap();
    volumes.unmount("uid-a").await.unwrap();
    volumes.drivers.unstage_unused_now().await;
    assert_eq!((driver.staged().len(), driver.published().len()), (1, 1), "somebody still uses it");
    volumes.unmount("uid-b").await.unwrap();
    assert_eq!(driver.staged().len(), 1, "pods do not wait for it");
    volumes.drivers.unstage_unused_now().await;
    assert_eq!((driver.staged().len(), driver.published().len(), node.staging().len()), (0, 0, 0));
    assert_eq!(std::fs::read_to_string(node.folder.path().join("volumes/v1/f")).unwrap(), "data");
}

#[tokio::test]
async fn another_agent_unstages_what_the_first_one_left() {
    let node = Node::new();
    let driver = node.driver();
    node.csi_claim("one", "v1");
    node.csi_claim("two", "v2");
    let before = node.volumes(vec![driver.clone()]);
    mount(&before, &claiming("a", "one")).await.unwrap();
    mount(&before, &claiming("b", "two")).await.unwrap();
    before.unmount("uid-a").await.unwrap();
    drop(before);
    // Without its driver nothing can be done, and nothing is forgotten.
    node.volumes(Vec::new()).drivers.unstage_unused_now().await;
    assert_eq!((driver.staged().len(), node.staging().len()), (2, 2));
    node.volumes(vec![driver.clone()]).drivers.unstage_unused_now().await;
    assert_eq!((driver.staged(), node.staging().len()), (vec!["v2".to_owned()], 1));
}

#[tokio::test]
async fn what_cannot_be_read_is_left_alone() {
    let node = Node::new();
    let driver = node.driver();
    let volumes = node.volumes(vec![driver.clone()]);
    node.csi_claim("one", "v1");
    mount(&volumes, &claiming("a", "one")).await.unwrap();
    let note = node.root().join("pods/uid-a/volumes/kubernetes.io~csi/data/vol_data.json");
    let text = std::fs::read(&note).unwrap();
    std::fs::write(&note, "{").unwrap();
    volumes.unmount("uid-a").await.expect_err("nobody knows what is mounted there");
    volumes.drivers.unstage_unused_now().await;
    assert_eq!((driver.staged().len(), driver.published().len()), (1, 1));
    std::fs::write(&note, text).unwrap();
    volumes.unmount("uid-a").await.unwrap();
}

/// A driver that stages only when it is told to.
struct Slow {
    driver: Arc<FakeStorage>,
    begun: Semaphore,
    may_end: Semaphore,
}

#[async_trait]
impl StoragePlugin for Slow {
    fn name(&self) -> &str {
        self.driver.name()
    }

    async fn stage(&self, request: &StageVolume) -> Result<()> {
        self.begun.add_permits(1);
        self.may_end.acquire().await.unwrap().forget();
        self.driver.stage(request).await
    }

    async fn unstage(&self, volume: &VolumeRef, staging_path: &Path) -> Result<()> {
        self.driver.unstage(volume, staging_path).await
    }

    async fn publish(&self, request: &PublishVolume) -> Result<()> {
        self.driver.publish(request).await
    }

    async fn unpublish(&self, volume: &VolumeRef, target_path: &Path) -> Result<()> {
        self.driver.unpublish(volume, target_path).await
    }

    async fn stats(&self, volume: &VolumeRef, path: &Path) -> Result<VolumeStats> {
        self.driver.stats(volume, path).await
    }
}

#[tokio::test]
async fn nobody_unstages_what_somebody_begins_to_use() {
    let node = Node::new();
    let slow = Slow { driver: node.driver(), begun: Semaphore::new(0), may_end: Semaphore::new(1) };
    let slow = Arc::new(slow);
    let volumes = node.volumes(vec![slow.clone()]);
    node.csi_claim("one", "v1");
    mount(&volumes, &claiming("a", "one")).await.unwrap();
    volumes.unmount("uid-a").await.unwrap();
    slow.begun.acquire().await.unwrap().forget();
    let next = claiming("b", "one");
    let mounting = mount(&volumes, &next);
    let unstaging = async {
        slow.begun.acquire().await.unwrap().forget();
        // The volume is staged from before, and the pod that begins to use it has nothing published yet.
        volumes.drivers.unstage_unused_now().await;
        assert_eq!(slow.driver.staged(), ["v1"]);
        slow.may_end.add_permits(1);
    };
    let (mounted, ()) = tokio::join!(mounting, unstaging);
    assert!(mounted.unwrap().volumes["data"].path.exists());
    volumes.drivers.unstage_unused_now().await;
    assert_eq!(slow.driver.staged(), ["v1"]);
}
