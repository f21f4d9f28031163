//! What every storage plugin has to pass.

use std::path::PathBuf;
use std::sync::Arc;

use crate::seam::{PodRef, PublishVolume, StageVolume, StoragePlugin, VolumeRef};

/// A storage plugin to examine.
#[derive(Clone)]
pub struct StorageHarness {
    /// The plugin.
    pub plugin: Arc<dyn StoragePlugin>,
    /// A volume that exists, is used nowhere else and takes files.
    pub volume: VolumeRef,
    /// A folder for staging and publishing, which suite and plugin both see.
    pub folder: PathBuf,
    /// File system to ask for; empty lets the plugin choose.
    pub fs_type: String,
}

impl std::fmt::Debug for StorageHarness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageHarness").field("volume", &self.volume).finish_non_exhaustive()
    }
}

impl StorageHarness {
    /// A harness for the volume with this handle and no attributes.
    pub fn new(plugin: Arc<dyn StoragePlugin>, volume: &str, folder: PathBuf) -> Self {
        let volume = VolumeRef { id: volume.to_owned(), ..VolumeRef::default() };
        Self { plugin, volume, folder, fs_type: String::new() }
    }

    fn staging_path(&self) -> PathBuf {
        self.folder.join("staging")
    }

    /// Where the pod called `pod` finds the volume; the parent is made.
    fn target(&self, pod: &str) -> PathBuf {
        let parent = self.folder.join(pod);
        std::fs::create_dir_all(&parent).unwrap();
        parent.join("mount")
    }

    async fn stage(&self) {
        std::fs::create_dir_all(self.staging_path()).unwrap();
        let request = StageVolume {
            volume: self.volume.clone(),
            staging_path: self.staging_path(),
            fs_type: self.fs_type.clone(),
            ..StageVolume::default()
        };
        self.plugin.stage(&request).await.unwrap();
    }

    async fn publish(&self, pod: &str) -> PathBuf {
        let target_path = self.target(pod);
        let request = PublishVolume {
            volume: self.volume.clone(),
            staging_path: self.staging_path(),
            target_path: target_path.clone(),
            fs_type: self.fs_type.clone(),
            pod: PodRef { namespace: "conformance".into(), name: pod.into(), uid: format!("uid-{pod}") },
            ..PublishVolume::default()
        };
        self.plugin.publish(&request).await.unwrap();
        target_path
    }

    async fn unpublish(&self, pod: &str) {
        let target = self.target(pod);
        self.plugin.unpublish(&self.volume, &target).await.unwrap();
        assert!(target.symlink_metadata().is_err(), "unpublishing removes {}", target.display());
    }

    async fn unstage(&self) {
        self.plugin.unstage(&self.volume, &self.staging_path()).await.unwrap();
    }
}

/// Examines a storage plugin with a volume that is not staged, and leaves it so.
///
/// # Panics
/// When the plugin breaks the contract of [`StoragePlugin`]; the message says where.
pub async fn storage_suite(harness: &StorageHarness) {
    assert!(!harness.plugin.name().is_empty(), "a driver has a name");
    what_was_not_made_can_be_undone(harness).await;
    pods_share_a_volume(harness).await;
    a_volume_keeps_its_files(harness).await;
}

async fn what_was_not_made_can_be_undone(harness: &StorageHarness) {
    harness.unpublish("nobody").await;
    harness.unstage().await;
}

async fn pods_share_a_volume(harness: &StorageHarness) {
    for _ in 0..2 {
        harness.stage().await;
    }
    let (one, two) = (harness.publish("one").await, harness.publish("two").await);
    std::fs::write(one.join("file"), "content").unwrap();
    assert_eq!(harness.publish("one").await, one, "publishing again changes nothing");
    assert_eq!(std::fs::read_to_string(two.join("file")).unwrap(), "content", "both see the same files");
    let stats = harness.plugin.stats(&harness.volume, &one).await.unwrap();
    assert!(stats.used_bytes > 0 && stats.used_bytes <= stats.capacity_bytes, "{stats:?}");
    for _ in 0..2 {
        harness.unpublish("one").await;
    }
    assert!(two.join("file").exists(), "the other pod keeps its volume");
}

async fn a_volume_keeps_its_files(harness: &StorageHarness) {
    harness.unpublish("two").await;
    for _ in 0..2 {
        harness.unstage().await;
    }
    harness.stage().await;
    let again = harness.publish("one").await;
    assert_eq!(std::fs::read_to_string(again.join("file")).unwrap(), "content", "files outlive their pods");
    std::fs::remove_file(again.join("file")).unwrap();
    harness.unpublish("one").await;
    harness.unstage().await;
}
