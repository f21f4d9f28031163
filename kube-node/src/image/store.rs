//! What images there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::name::{normalize, repository};
use super::registry::{Limits, RegistryClient, Roots};
use crate::seam::{FsUsage, ImageRef, ImageService, ImageStatus, RegistryAuth};
use crate::{Error, Result};

/// How a container of an image runs unless told otherwise (OCI image configuration, `config`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `uid`, `user`, `uid:gid` or `user:group`; empty means root.
    pub user: String,
    /// `NAME=value`.
    #[serde(deserialize_with = "nullable")]
    pub env: Vec<String>,
    /// Program and first arguments.
    #[serde(deserialize_with = "nullable")]
    pub entrypoint: Vec<String>,
    /// Further arguments, which a pod's `args` replace.
    #[serde(deserialize_with = "nullable")]
    pub cmd: Vec<String>,
    /// Working directory; empty means `/`.
    pub working_dir: String,
    /// Signal that asks the program to stop; empty means SIGTERM.
    pub stop_signal: String,
    /// Documentation of ports, as in `8080/tcp`.
    #[serde(deserialize_with = "nullable")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
}

fn nullable<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> std::result::Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// An image that is completely there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of its configuration, `sha256:…`.
    pub id: String,
    /// Its names with tag.
    pub tags: BTreeSet<String>,
    /// Its names with digest.
    pub digests: BTreeSet<String>,
    /// Its layers (digests of the uncompressed archives), the lowest first.
    pub layers: Vec<String>,
    /// Bytes of its layers, uncompressed.
    pub size: u64,
    /// How its containers run.
    pub config: ImageConfig,
    /// Whether it was imported, so that no registry may have it and garbage collection must leave it alone.
    #[serde(default)]
    pub imported: bool,
}

impl Image {
    pub(super) fn status(&self) -> ImageStatus {
        ImageStatus {
            id: self.id.clone(),
            repo_tags: self.tags.iter().cloned().collect(),
            repo_digests: self.digests.iter().cloned().collect(),
            size: self.size,
            user: self.config.user.clone(),
            pinned: self.imported
                || (self.tags.iter().all(|tag| tag.starts_with("localhost/")) && !self.tags.is_empty()),
        }
    }
}

/// What is on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    images: Vec<Image>,
    /// Imported files with what they looked like then, so that an unchanged one is not read again.
    sources: BTreeMap<String, String>,
    /// Uncompressed sizes of layers.
    layers: BTreeMap<String, u64>,
}

/// The images of one node, below one folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImageStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    index: Mutex<Index>,
    /// One image is unpacked at a time: the disk is the limit.
    unpacking: tokio::sync::Mutex<()>,
    registries: RegistryClient,
}

impl ImageStore {
    /// Opens the store below `data`: layers in `layers/`, the list of images in `images.json`. Then imports what lies in `images/` and
    /// has changed since the last time: OCI layout folders and archives (`.tar`) of them or of `docker save`. A file that cannot be
    /// imported is reported in the log and does not keep the store from opening.
    ///
    /// # Errors
    /// When the folders cannot be made or the list of images is damaged.
    pub async fn open(data: &Path) -> Result<Self> {
        let dir = data.to_owned();
        let store = tokio::task::spawn_blocking(move || Self::load(dir))
            .await
            .map_err(|error| Error::Failed(error.to_string()))??;
        store.import_all().await;
        Ok(store)
    }

    fn load(dir: PathBuf) -> Result<Self> {
        for folder in ["layers", "images", "tmp"] {
            let path = dir.join(folder);
            std::fs::create_dir_all(&path).map_err(Error::io(format!("create {}", path.display())))?;
        }
        // What an interrupted import or pull left behind.
        for entry in std::fs::read_dir(dir.join("tmp")).into_iter().flatten().flatten() {
            let _left = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
        }
        let path = dir.join("images.json");
        let index = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| Error::Failed(format!("{}: {error}", path.display())))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(Error::io(format!("read {}", path.display()))(error)),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                dir,
                index: Mutex::new(index),
                unpacking: tokio::sync::Mutex::default(),
                registries: RegistryClient::new(Roots::System, Limits::default()),
            }),
        })
    }

    pub(super) fn registries(&self) -> &RegistryClient {
        &self.shared.registries
    }

    pub(super) fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The folder that holds one folder per layer.
    #[must_use]
    pub fn layers_dir(&self) -> PathBuf {
        self.shared.dir.join("layers")
    }

    /// The name of a layer's folder in [`layers_dir`](Self::layers_dir): short, because overlayfs takes one page of options.
    #[must_use]
    pub fn layer_name(diff_id: &str) -> String {
        diff_id.trim_start_matches("sha256:").chars().take(24).collect()
    }

    /// The image that a name, a name with digest, or an id (or the beginning of one, at least 8 digits) means.
    #[must_use]
    pub fn get(&self, image: &str) -> Option<Image> {
        let index = self.shared.index.lock();
        let id = image.strip_prefix("sha256:").unwrap_or(image);
        if id.len() >= 8
            && id.bytes().all(|byte| byte.is_ascii_hexdigit())
            && let Some(found) =
                index.images.iter().find(|known| known.id.trim_start_matches("sha256:").starts_with(id))
        {
            return Some(found.clone());
        }
        let name = normalize(image);
        index.images.iter().find(|known| known.tags.contains(&name) || known.digests.contains(&name)).cloned()
    }

    pub(super) fn tmp(&self, name: &str) -> PathBuf {
        self.shared.dir.join("tmp").join(format!("{name}-{}", uuid::Uuid::new_v4().simple()))
    }

    pub(super) async fn lock_unpacking(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.unpacking.lock().await
    }

    pub(super) fn source(&self, path: &str) -> Option<String> {
        self.shared.index.lock().sources.get(path).cloned()
    }

    pub(super) fn layer_size(&self, diff_id: &str) -> Option<u64> {
        let size = self.shared.index.lock().layers.get(diff_id).copied()?;
        self.layers_dir().join(Self::layer_name(diff_id)).is_dir().then_some(size)
    }

    /// Puts an unpacked layer into its place.
    pub(super) fn adopt_layer(&self, unpacked: &Path, diff_id: &str, bytes: u64) -> Result<()> {
        let place = self.layers_dir().join(Self::layer_name(diff_id));
        if place.is_dir() {
            let _twice = std::fs::remove_dir_all(unpacked);
        } else {
            std::fs::rename(unpacked, &place).map_err(Error::io(format!("rename to {}", place.display())))?;
        }
        self.shared.index.lock().layers.insert(diff_id.to_owned(), bytes);
        Ok(())
    }

    /// Adds an image, or further names of one. A name leads to one image only: others lose it.
    pub(super) fn add(&self, image: Image, source: Option<(String, String)>) -> Result<()> {
        let mut index = self.shared.index.lock();
        for other in &mut index.images {
            other.tags.retain(|tag| !image.tags.contains(tag));
        }
        match index.images.iter_mut().find(|known| known.id == image.id) {
            Some(known) => {
                known.tags.extend(image.tags);
                known.digests.extend(image.digests);
                known.imported |= image.imported;
            }
            None => index.images.push(image),
        }
        index.images.retain(|image| !image.tags.is_empty() || !image.digests.is_empty());
        index.sources.extend(source);
        self.save(&index)
    }

    fn save(&self, index: &Index) -> Result<()> {
        let path = self.shared.dir.join("images.json");
        let fresh = self.shared.dir.join("images.json.new");
        let text = serde_json::to_vec(index).map_err(|error| Error::Invalid(error.to_string()))?;
        let write = || {
            std::fs::write(&fresh, text)?;
            std::fs::rename(&fresh, &path)
        };
        write().map_err(Error::io(format!("write {}", path.display())))
    }

    /// Removes the layers that neither an image nor `in_use` (folder names) needs.
    ///
    /// # Errors
    /// When the list of images cannot be written.
    pub async fn collect_garbage(&self, in_use: BTreeSet<String>) -> Result<()> {
        let _quiet = self.lock_unpacking().await;
        let store = self.clone();
        let collect = move || {
            let mut index = store.shared.index.lock();
            let mut keep = in_use;
            keep.extend(
                index.images.iter().flat_map(|image| &image.layers).map(|layer| Self::layer_name(layer)),
            );
            for entry in std::fs::read_dir(store.layers_dir()).into_iter().flatten().flatten() {
                if !keep.contains(&*entry.file_name().to_string_lossy()) {
                    let _busy = std::fs::remove_dir_all(entry.path());
                }
            }
            index.layers.retain(|layer, _| keep.contains(&Self::layer_name(layer)));
            store.save(&index)
        };
        tokio::task::spawn_blocking(collect).await.map_err(|error| Error::Failed(error.to_string()))?
    }
}

#[async_trait]
impl ImageService for ImageStore {
    async fn list(&self) -> Result<Vec<ImageStatus>> {
        Ok(self.shared.index.lock().images.iter().map(Image::status).collect())
    }

    async fn status(&self, image: &str) -> Result<Option<ImageStatus>> {
        Ok(self.get(image).map(|image| image.status()))
    }

    async fn pull(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<ImageRef> {
        let name = normalize(image);
        // `localhost/…` without a port is no registry: such images are imported or built here, so what is here is the newest there is.
        if repository(&name).starts_with("localhost/") {
            let found = self.get(&name).map(|image| image.id);
            return found.ok_or_else(|| Error::Failed(format!("{name}: no such image on this node")));
        }
        self.pull_from_registry(&name, auth).await
    }

    async fn remove(&self, image: &str) -> Result<()> {
        let Some(found) = self.get(image) else { return Ok(()) };
        let mut index = self.shared.index.lock();
        index.images.retain(|known| known.id != found.id);
        self.save(&index)
    }

    async fn usage(&self) -> Result<FsUsage> {
        let index = self.shared.index.lock();
        Ok(FsUsage { used_bytes: index.layers.values().sum(), inodes_used: 0 })
    }
}

#[cfg(test)]
mod tests;
