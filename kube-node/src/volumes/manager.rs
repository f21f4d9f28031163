//! Mounts and unmounts the volumes of pods.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::{
    PodDirs,
    claim::{Backing, backing},
    collect::{Inputs, payload},
    drivers::{Drivers, Wanted},
    local::{self, Kind},
    sources::Sources,
    teardown::remove_pod_dir,
};
use crate::{
    Clock, Error, Result,
    config::{Config, Files},
    objects::Objects,
    pod::{
        fields::FieldContext,
        security::pod_context,
        spec::{pod_ref, spec_of},
    },
    seam::StoragePlugin,
};

/// A mounted volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostVolume {
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
}

/// The volumes of a pod by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mounted {
    pub(crate) volumes: BTreeMap<String, HostVolume>,
    /// When some content should be renewed (tokens).
    pub(crate) renew: Option<Timestamp>,
}

/// Makes volumes. All methods are idempotent, so mounting again brings content up to date.
pub(crate) struct VolumeManager {
    client: Client,
    config: Arc<Config>,
    clock: Clock,
    sources: Sources,
    pub(super) drivers: Drivers,
}

pub(super) fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("{doing} {}", path.display()))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|_| {
        Err(Error::Unavailable { what: "blocking pool", reason: "it has shut down".to_owned() })
    })
}

impl VolumeManager {
    pub(crate) fn new(
        client: Client,
        config: Arc<Config>,
        clock: Clock,
        objects: Objects,
        plugins: Vec<Arc<dyn StoragePlugin>>,
    ) -> Self {
        let sources = Sources::new(client.clone(), clock, objects);
        let drivers = Drivers::new(plugins, config.root_dir.clone());
        Self { client, config, clock, sources, drivers }
    }

    fn dirs(&self, uid: &str) -> PodDirs {
        PodDirs::new(&self.config.root_dir, uid)
    }

    /// Mounts all volumes, or brings them up to date. The error names the volume, as upstream's event does.
    pub(crate) async fn mount(&self, pod: &Pod, fields: FieldContext) -> Result<Mounted> {
        if self.config.files == Files::Skip {
            return Ok(Mounted::default());
        }
        let dirs = self.dirs(&pod_ref(pod).uid);
        tokio::fs::create_dir_all(dirs.root()).await.map_err(io("create", dirs.root()))?;
        let spec = spec_of(pod);
        let volumes = spec.volumes.as_deref().unwrap_or_default();
        let (inputs, renew) = self.sources.inputs(pod, volumes, fields).await?;
        let mut mounted = Mounted { renew, ..Mounted::default() };
        for volume in volumes {
            let failed = |e: Error| {
                Error::Failed(format!("MountVolume.SetUp failed for volume {:?} : {e}", volume.name))
            };
            let host = self.mount_one(pod, volume, &dirs, &inputs).await.map_err(failed)?;
            mounted.volumes.insert(volume.name.clone(), host);
        }
        Ok(mounted)
    }

    async fn mount_one(
        &self,
        pod: &Pod,
        volume: &Volume,
        dirs: &PodDirs,
        inputs: &Inputs,
    ) -> Result<HostVolume> {
        let group = pod_context(pod).fs_group.and_then(|g| u32::try_from(g).ok());
        if let Some(files) = payload(pod, volume, inputs)? {
            let kind = Kind::of(volume);
            let (path, now) = (dirs.volume(kind.name(), &volume.name), self.clock.now());
            let target = path.clone();
            blocking(move || local::files(&target, kind, files, group, now)).await?;
            return Ok(HostVolume { path, read_only: false });
        }
        if let Some(source) = volume.empty_dir.clone() {
            let path = dirs.volume("empty-dir", &volume.name);
            let target = path.clone();
            blocking(move || local::empty_dir(&target, &source, group)).await?;
            return Ok(HostVolume { path, read_only: false });
        }
        if let Some(source) = volume.host_path.clone() {
            return Ok(HostVolume {
                path: blocking(move || local::host_path(&source)).await?,
                read_only: false,
            });
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            let read_only = claim.read_only.unwrap_or_default();
            let path = self.claim(pod, volume, &claim.claim_name, read_only, dirs).await?;
            return Ok(HostVolume { path, read_only });
        }
        Err(Error::Unsupported("this kind of volume"))
    }

    async fn claim(
        &self,
        pod: &Pod,
        volume: &Volume,
        name: &str,
        read_only: bool,
        dirs: &PodDirs,
    ) -> Result<PathBuf> {
        match backing(&self.client, &pod_ref(pod).namespace, name).await? {
            Backing::HostPath(source) => blocking(move || local::host_path(&source)).await,
            Backing::Local(path) => Ok(path),
            Backing::Driver(source, mount_flags) => {
                let (source, parent) = (*source, dirs.volume("csi", &volume.name));
                let fs_group = pod_context(pod).fs_group;
                let wanted = Wanted { source, mount_flags, parent, read_only, pod: pod_ref(pod), fs_group };
                self.drivers.publish(wanted).await
            }
        }
    }

    /// Takes all volumes of a pod away, and its directory with them.
    pub(crate) async fn unmount(&self, uid: &str) -> Result<()> {
        self.sources.forget(uid);
        if self.config.files == Files::Skip || uid.is_empty() {
            return Ok(());
        }
        let dirs = self.dirs(uid);
        self.drivers.unpublish_all(&dirs).await?;
        blocking(move || remove_pod_dir(&dirs)).await?;
        self.drivers.look_for_unused();
        Ok(())
    }

    /// Takes volumes off the node that none of its pods uses any more, now and then and whenever a pod has gone. It also finds what an earlier
    /// agent left. Pods do not wait for it: a driver that cannot let go of a volume is no reason to keep a pod.
    pub(crate) async fn unstage_unused(&self, every: Duration, shutdown: CancellationToken) {
        if self.config.files == Files::Skip {
            return;
        }
        shutdown.run_until_cancelled(self.drivers.unstage_unused(every)).await;
    }

    /// Uids of the pods that have a directory on this node.
    pub(crate) async fn known_pods(&self) -> Vec<String> {
        let mut found = Vec::new();
        let Ok(mut entries) = tokio::fs::read_dir(self.config.root_dir.join("pods")).await else {
            return found;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            found.extend(entry.file_name().into_string());
        }
        found
    }
}
