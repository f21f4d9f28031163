//! The storage seam: volumes that somebody else than the node provides.

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;

use super::PodRef;
use crate::Result;

/// Brings volumes onto the node, with the semantics of CSI v1's `Node` service. The general rules are in [the module's documentation](super).
///
/// The order per volume is: `stage` once per node, `publish` once per pod, `unpublish` per pod, `unstage` after the last one. All are idempotent.
#[async_trait]
pub trait StoragePlugin: Send + Sync {
    /// The driver's name as in `spec.csi.driver`.
    fn name(&self) -> &str;

    /// Makes the volume ready on this node, for all pods. Plugins without this step keep the default.
    async fn stage(&self, request: &StageVolume) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// Undoes `stage`.
    async fn unstage(&self, volume: &VolumeRef, staging_path: &std::path::Path) -> Result<()> {
        let _ = (volume, staging_path);
        Ok(())
    }

    /// Makes the volume visible at `target_path`, which the plugin creates.
    async fn publish(&self, request: &PublishVolume) -> Result<()>;

    /// Undoes `publish` and removes `target_path`.
    async fn unpublish(&self, volume: &VolumeRef, target_path: &std::path::Path) -> Result<()>;

    /// How full the volume is.
    async fn stats(&self, volume: &VolumeRef, path: &std::path::Path) -> Result<VolumeStats>;
}

/// A volume of a driver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeRef {
    /// `volumeHandle` of a persistent volume; the agent's own name for an inline one.
    pub id: String,
    /// `volumeAttributes`.
    pub attributes: BTreeMap<String, String>,
}

/// See [`StoragePlugin::stage`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageVolume {
    /// Which volume.
    pub volume: VolumeRef,
    /// Where to stage it; exists.
    pub staging_path: PathBuf,
    /// File system; empty lets the plugin choose.
    pub fs_type: String,
    /// Mount options.
    pub mount_flags: Vec<String>,
}

/// See [`StoragePlugin::publish`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishVolume {
    /// Which volume.
    pub volume: VolumeRef,
    /// Where it was staged.
    pub staging_path: PathBuf,
    /// Where the pod will find it; its parent exists.
    pub target_path: PathBuf,
    /// Whether it is read-only.
    pub read_only: bool,
    /// File system; empty lets the plugin choose.
    pub fs_type: String,
    /// Mount options.
    pub mount_flags: Vec<String>,
    /// The pod that asks.
    pub pod: PodRef,
    /// The group that must be able to use it.
    pub fs_group: Option<i64>,
}

/// How full a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VolumeStats {
    /// Size in bytes.
    pub capacity_bytes: u64,
    /// Bytes used.
    pub used_bytes: u64,
    /// Inodes in total.
    pub inodes: u64,
    /// Inodes used.
    pub inodes_used: u64,
}
