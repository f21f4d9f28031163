//! Volumes of drivers: staged once per node, published once per pod.
//!
//! Who uses what is on disk only, in upstream's places: `vol_data.json` in a pod's volume directory says that the pod uses a volume,
//! `vol_data.json` in a staging directory says that the volume is staged. A note is made before the driver is asked and removed after it has
//! answered, so an agent that was killed in between finds everything that may have to be undone.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::CSIPersistentVolumeSource;
use tokio::sync::Notify;

use super::{
    PodDirs,
    manager::{blocking, io},
    notes::{self, Note, Staged},
};
use crate::{
    Error, Result,
    seam::{PodRef, PublishVolume, StageVolume, StoragePlugin, VolumeRef},
    volumes::locks::Locks,
};

/// How many volumes are unstaged at the same time.
const PARALLEL: usize = 4;

/// The drivers of a node.
pub(super) struct Drivers {
    plugins: HashMap<String, Arc<dyn StoragePlugin>>,
    root: PathBuf,
    /// A volume is not unstaged while somebody begins to use it.
    locks: Locks<Note>,
    gone: Notify,
}

/// A volume that a pod wants.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) source: CSIPersistentVolumeSource,
    pub(super) mount_flags: Vec<String>,
    /// The pod's directory for this volume.
    pub(super) parent: PathBuf,
    pub(super) read_only: bool,
    pub(super) pod: PodRef,
    pub(super) fs_group: Option<i64>,
}

impl Drivers {
    pub(super) fn new(plugins: Vec<Arc<dyn StoragePlugin>>, root: PathBuf) -> Self {
        let plugins = plugins.into_iter().map(|p| (p.name().to_owned(), p)).collect();
        Self { plugins, root, locks: Locks::default(), gone: Notify::new() }
    }

    fn plugin(&self, name: &str) -> Result<&dyn StoragePlugin> {
        let found = self.plugins.get(name).map(|plugin| &**plugin);
        found.ok_or_else(|| {
            Error::Failed(format!("driver name {name} not found in the list of registered CSI drivers"))
        })
    }

    /// Makes a volume visible to a pod, and ready on this node before; where it is then.
    pub(super) async fn publish(&self, wanted: Wanted) -> Result<PathBuf> {
        let plugin = self.plugin(&wanted.source.driver)?;
        let Wanted { source, mount_flags, parent, .. } = wanted;
        let note = Note { driver_name: source.driver, volume_handle: source.volume_handle };
        let staging_path = notes::staging_path(&self.root, &note);
        let volume = VolumeRef {
            id: note.volume_handle.clone(),
            attributes: source.volume_attributes.unwrap_or_default(),
        };
        let fs_type = source.fs_type.unwrap_or_default();
        let stage = StageVolume { volume, staging_path, fs_type, mount_flags };
        {
            let _alone = self.locks.lock(&note).await;
            // The pod's note first: from then on nobody takes the volume for unused.
            note.write(&parent).await?;
            note.write(stage.staging_path.parent().unwrap_or(&self.root)).await?;
            tokio::fs::create_dir_all(&stage.staging_path)
                .await
                .map_err(io("create", &stage.staging_path))?;
            plugin.stage(&stage).await?;
        }
        let publish = PublishVolume {
            volume: stage.volume,
            staging_path: stage.staging_path,
            target_path: parent.join("mount"),
            read_only: wanted.read_only,
            fs_type: stage.fs_type,
            mount_flags: stage.mount_flags,
            pod: wanted.pod,
            fs_group: wanted.fs_group,
        };
        plugin.publish(&publish).await?;
        Ok(publish.target_path)
    }

    /// Takes all volumes of drivers away from a pod.
    pub(super) async fn unpublish_all(&self, dirs: &PodDirs) -> Result<()> {
        let volumes = dirs.volumes();
        for (path, note) in blocking(move || notes::in_pod(&volumes)).await? {
            let volume = VolumeRef { id: note.volume_handle, ..VolumeRef::default() };
            self.plugin(&note.driver_name)?.unpublish(&volume, &path.join("mount")).await?;
        }
        Ok(())
    }

    /// A pod has gone: perhaps it was the last one to use a volume.
    pub(super) fn look_for_unused(&self) {
        self.gone.notify_one();
    }

    /// Unstages what no pod uses: now, whenever a pod has gone, and at the latest after `every`. Does not return.
    pub(super) async fn unstage_unused(&self, every: Duration) {
        loop {
            self.unstage_unused_now().await;
            // Running into the end of the time is the audit.
            let _audit = tokio::time::timeout(every, self.gone.notified()).await;
        }
    }

    /// One round of [`unstage_unused`](Self::unstage_unused).
    pub(super) async fn unstage_unused_now(&self) {
        let (staged, used) = match (self.staged().await, self.used().await) {
            (Ok(staged), Ok(used)) => (staged, used),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "cannot see which volumes are in use: all of them stay");
                return;
            }
        };
        let unused = staged.into_iter().filter(|staged| !used.contains(&staged.note));
        let unstage = async |staged: Staged| {
            if let Err(error) = self.unstage(&staged).await {
                let Note { driver_name, volume_handle } = &staged.note;
                tracing::warn!(driver_name, volume_handle, %error, "cannot unstage a volume");
            }
        };
        stream::iter(unused).for_each_concurrent(PARALLEL, unstage).await;
    }

    async fn staged(&self) -> Result<Vec<Staged>> {
        let root = self.root.clone();
        blocking(move || notes::staged(&root)).await
    }

    async fn used(&self) -> Result<BTreeSet<Note>> {
        let root = self.root.clone();
        blocking(move || notes::used(&root)).await
    }

    async fn unstage(&self, staged: &Staged) -> Result<()> {
        let _alone = self.locks.lock(&staged.note).await;
        if self.used().await?.contains(&staged.note) {
            return Ok(());
        }
        let volume = VolumeRef { id: staged.note.volume_handle.clone(), ..VolumeRef::default() };
        let path = staged.path();
        self.plugin(&staged.note.driver_name)?.unstage(&volume, &path).await?;
        remove(&path).await?;
        Note::remove(&staged.dir).await?;
        remove(&staged.dir).await
    }
}

/// Removes an empty directory; one that is not empty is left, with what somebody still has there.
async fn remove(path: &Path) -> Result<()> {
    match tokio::fs::remove_dir(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", path)(error)),
        _ => Ok(()),
    }
}
