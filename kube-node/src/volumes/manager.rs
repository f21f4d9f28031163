//! Mounts and unmounts the volumes of pods.

use std::{
    collections::{BTreeMap, HashMap},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeSpec, Pod, Volume,
};
use kube::{Api, Client};

use super::{
    PodDirs, atomic,
    collect::{Inputs, payload, references},
    ownership,
    token::Tokens,
};
use crate::{
    Clock, Error, Result,
    config::{Config, Files},
    objects::{Objects, Reference},
    pod::{
        fields::FieldContext,
        quantity,
        security::pod_context,
        spec::{pod_ref, spec_of},
    },
    seam::{PublishVolume, StageVolume, StoragePlugin, VolumeRef},
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
    objects: Objects,
    tokens: Tokens,
    plugins: HashMap<String, Arc<dyn StoragePlugin>>,
}

fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("{doing} {}", path.display()))
}

impl VolumeManager {
    pub(crate) fn new(
        client: Client,
        config: Arc<Config>,
        clock: Clock,
        objects: Objects,
        plugins: Vec<Arc<dyn StoragePlugin>>,
    ) -> Self {
        let plugins = plugins.into_iter().map(|p| (p.name().to_owned(), p)).collect();
        Self { tokens: Tokens::new(client.clone(), clock), client, config, clock, objects, plugins }
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
        let mut mounted = Mounted::default();
        let spec = spec_of(pod);
        let volumes = spec.volumes.as_deref().unwrap_or_default();
        let inputs = self.inputs(pod, volumes, fields, &mut mounted).await?;
        for volume in volumes {
            let failed = |e: Error| {
                Error::Failed(format!("MountVolume.SetUp failed for volume {:?} : {e}", volume.name))
            };
            let host = self.mount_one(pod, volume, &dirs, &inputs).await.map_err(failed)?;
            mounted.volumes.insert(volume.name.clone(), host);
        }
        Ok(mounted)
    }

    async fn inputs(
        &self,
        pod: &Pod,
        volumes: &[Volume],
        fields: FieldContext,
        mounted: &mut Mounted,
    ) -> Result<Inputs> {
        let namespace = pod_ref(pod).namespace;
        let mut inputs = Inputs { fields, ..Inputs::default() };
        for reference in references(pod) {
            match reference {
                Reference::ConfigMap(name) => {
                    let found = self.objects.config_map(&namespace, &name).await?;
                    inputs.config_maps.insert(name, found);
                }
                Reference::Secret(name) => {
                    let found = self.objects.secret(&namespace, &name).await?;
                    inputs.secrets.insert(name, found);
                }
            }
        }
        for volume in volumes {
            for part in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
                let Some(source) = &part.service_account_token else { continue };
                let failed = |e: Error| {
                    Error::Failed(format!(
                        "MountVolume.SetUp failed for volume {:?} : failed to fetch token: {e}",
                        volume.name
                    ))
                };
                let (token, renew) = self.tokens.get(pod, source).await.map_err(failed)?;
                mounted.renew = Some(mounted.renew.map_or(renew, |r| r.min(renew)));
                inputs.tokens.insert((volume.name.clone(), source.path.clone()), token);
            }
        }
        Ok(inputs)
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
            let (path, now) = (dirs.volume(plugin_name(volume), &volume.name), self.clock.now());
            let memory = volume.config_map.is_none() && volume.downward_api.is_none();
            let target = path.clone();
            blocking(move || {
                std::fs::create_dir_all(&target).map_err(io("create", &target))?;
                if memory {
                    tmpfs(&target, None)?;
                }
                let files = with_group(files, group.is_some());
                atomic::write(&target, &files, group, now)
            })
            .await?;
            return Ok(HostVolume { path, read_only: false });
        }
        if let Some(source) = &volume.empty_dir {
            let path = dirs.volume("empty-dir", &volume.name);
            let (source, target) = (source.clone(), path.clone());
            blocking(move || empty_dir(&target, &source, group)).await?;
            return Ok(HostVolume { path, read_only: false });
        }
        if let Some(source) = volume.host_path.clone() {
            let path = PathBuf::from(&source.path);
            blocking(move || host_path(&source)).await?;
            return Ok(HostVolume { path, read_only: false });
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            let read_only = claim.read_only.unwrap_or_default();
            return self.claim(pod, volume, &claim.claim_name, read_only, dirs).await;
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
    ) -> Result<HostVolume> {
        let (bound, mut spec) = self.resolve(&pod_ref(pod).namespace, name).await?;
        if let Some(source) = spec.host_path {
            let path = PathBuf::from(&source.path);
            blocking(move || host_path(&source)).await?;
            return Ok(HostVolume { path, read_only });
        }
        if let Some(local) = spec.local {
            return Ok(HostVolume { path: PathBuf::from(local.path), read_only });
        }
        let csi = spec.csi.take().ok_or(Error::Unsupported("this kind of persistent volume"))?;
        let plugin = self.plugins.get(&csi.driver).ok_or_else(|| no_driver(&csi.driver))?;
        let staged = self.stage(&**plugin, &bound, csi, spec.mount_options.unwrap_or_default()).await?;
        self.publish(&**plugin, pod, staged, &dirs.volume("csi", &volume.name), read_only).await
    }

    /// The persistent volume that a claim is bound to: its name and spec.
    async fn resolve(&self, namespace: &str, name: &str) -> Result<(String, PersistentVolumeSpec)> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let claim = claims.get(name).await?;
        let bound = claim
            .spec
            .and_then(|s| s.volume_name)
            .filter(|_| claim.status.is_some_and(|s| s.phase.as_deref() == Some("Bound")));
        let bound = bound.ok_or_else(|| Error::Failed(format!("PVC {namespace}/{name} is not bound")))?;
        let persistent: PersistentVolume = Api::all(self.client.clone()).get(&bound).await?;
        Ok((bound, persistent.spec.unwrap_or_default()))
    }

    /// Makes a driver's volume ready on this node.
    async fn stage(
        &self,
        plugin: &dyn StoragePlugin,
        bound: &str,
        csi: CSIPersistentVolumeSource,
        mount_flags: Vec<String>,
    ) -> Result<StageVolume> {
        let staging_path =
            self.config.root_dir.join("plugins/kubernetes.io/csi").join(&csi.driver).join(bound);
        tokio::fs::create_dir_all(&staging_path).await.map_err(io("create", &staging_path))?;
        let volume =
            VolumeRef { id: csi.volume_handle, attributes: csi.volume_attributes.unwrap_or_default() };
        let fs_type = csi.fs_type.unwrap_or_default();
        let stage = StageVolume { volume, staging_path, fs_type, mount_flags };
        plugin.stage(&stage).await?;
        Ok(stage)
    }

    /// Makes a staged volume visible to a pod below `parent`, and notes there whose it is.
    async fn publish(
        &self,
        plugin: &dyn StoragePlugin,
        pod: &Pod,
        staged: StageVolume,
        parent: &Path,
        read_only: bool,
    ) -> Result<HostVolume> {
        tokio::fs::create_dir_all(parent).await.map_err(io("create", parent))?;
        let record = serde_json::json!({"driver": plugin.name(), "volume": staged.volume.id});
        let record_path = parent.join("vol_data.json");
        tokio::fs::write(&record_path, record.to_string()).await.map_err(io("write", &record_path))?;
        let publish = PublishVolume {
            volume: staged.volume,
            staging_path: staged.staging_path,
            target_path: parent.join("mount"),
            read_only,
            fs_type: staged.fs_type,
            mount_flags: staged.mount_flags,
            pod: pod_ref(pod),
            fs_group: pod_context(pod).fs_group,
        };
        plugin.publish(&publish).await?;
        Ok(HostVolume { path: publish.target_path, read_only })
    }

    /// Takes all volumes of a pod away, and its directory with them.
    pub(crate) async fn unmount(&self, uid: &str) -> Result<()> {
        self.tokens.forget(uid);
        if self.config.files == Files::Skip || uid.is_empty() {
            return Ok(());
        }
        let dirs = self.dirs(uid);
        self.unpublish_all(&dirs).await?;
        blocking(move || remove_pod_dir(&dirs)).await
    }

    async fn unpublish_all(&self, dirs: &PodDirs) -> Result<()> {
        let Ok(mut entries) = tokio::fs::read_dir(dirs.volumes().join("kubernetes.io~csi")).await else {
            return Ok(());
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let Ok(text) = tokio::fs::read(entry.path().join("vol_data.json")).await else { continue };
            let record: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let word = |key: &str| record.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let driver = word("driver");
            let plugin = self.plugins.get(&driver);
            let plugin = plugin.ok_or_else(|| Error::Unavailable { what: "CSI driver", reason: driver })?;
            let volume = VolumeRef { id: word("volume"), ..VolumeRef::default() };
            plugin.unpublish(&volume, &entry.path().join("mount")).await?;
        }
        Ok(())
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

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|_| {
        Err(Error::Unavailable { what: "blocking pool", reason: "it has shut down".to_owned() })
    })
}

fn no_driver(name: &str) -> Error {
    Error::Failed(format!("driver name {name} not found in the list of registered CSI drivers"))
}

fn plugin_name(volume: &Volume) -> &'static str {
    match (&volume.config_map, &volume.secret, &volume.downward_api) {
        (Some(_), ..) => "configmap",
        (_, Some(_), _) => "secret",
        (_, _, Some(_)) => "downward-api",
        _ => "projected",
    }
}

/// With an fsGroup the group may read what the owner may.
fn with_group(mut files: atomic::Payload, grouped: bool) -> atomic::Payload {
    if grouped {
        files.values_mut().for_each(|f| f.mode |= (f.mode & 0o400) >> 3);
    }
    files
}

fn empty_dir(path: &Path, source: &EmptyDirVolumeSource, group: Option<u32>) -> Result<()> {
    let fresh = !path.exists();
    std::fs::create_dir_all(path).map_err(io("create", path))?;
    if source.medium.as_deref() == Some("Memory") {
        tmpfs(path, source.size_limit.as_ref().map(quantity::value).filter(|v| *v > 0))?;
    }
    if fresh {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
            .map_err(io("open up", path))?;
    }
    match group {
        Some(group) if !ownership::root_matches(path, group) => ownership::give_to_group(path, group, false),
        _ => Ok(()),
    }
}

/// Puts a memory file system on a directory. Without root the directory stays as it is.
fn tmpfs(path: &Path, size: Option<i64>) -> Result<()> {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    let same = |a: &Path, b: &Path| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(a).ok().map(|m| m.dev()) == std::fs::metadata(b).ok().map(|m| m.dev())
    };
    let mounted =
        rustix::fs::statfs(path).is_ok_and(|s| s.f_type as u64 == TMPFS_MAGIC) && !same(path, parent);
    if mounted {
        return Ok(());
    }
    let options = size.map(|s| std::ffi::CString::new(format!("size={s}")).unwrap_or_default());
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    rustix::mount::mount("tmpfs", path, "tmpfs", flags, options.as_deref())
        .map_err(|e| io("mount tmpfs on", path)(e.into()))
}

/// Checks a host path, or makes it, by its type.
fn host_path(source: &HostPathVolumeSource) -> Result<()> {
    let path = Path::new(&source.path);
    let failed =
        |what: &str| Err(Error::Failed(format!("hostPath type check failed: {} is not {what}", source.path)));
    let kind = std::fs::metadata(path).map(|m| m.file_type()).ok();
    match source.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" if kind.is_none() => std::fs::create_dir_all(path).map_err(io("create", path)),
        "FileOrCreate" if kind.is_none() => std::fs::write(path, b"").map_err(io("create", path)),
        "Directory" | "DirectoryOrCreate" if !kind.is_some_and(|k| k.is_dir()) => failed("a directory"),
        "File" | "FileOrCreate" if !kind.is_some_and(|k| k.is_file()) => failed("a file"),
        "Socket" if !kind.is_some_and(|k| k.is_socket()) => failed("a socket file"),
        "CharDevice" if !kind.is_some_and(|k| k.is_char_device()) => failed("a character device"),
        "BlockDevice" if !kind.is_some_and(|k| k.is_block_device()) => failed("a block device"),
        _ => Ok(()),
    }
}

/// Unmounts what is mounted below a pod's directory and removes it.
fn remove_pod_dir(dirs: &PodDirs) -> Result<()> {
    if !dirs.root().exists() {
        return Ok(());
    }
    for plugin in std::fs::read_dir(dirs.volumes()).into_iter().flatten().flatten() {
        for volume in std::fs::read_dir(plugin.path()).into_iter().flatten().flatten() {
            // Most are no mount points; those that are and stay busy are detached.
            let _ = rustix::mount::unmount(volume.path(), rustix::mount::UnmountFlags::DETACH);
        }
    }
    match std::fs::remove_dir_all(dirs.root()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io("remove", dirs.root())(e)),
        _ => Ok(()),
    }
}
