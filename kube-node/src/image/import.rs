//! OCI layout folders, archives of them, and `docker save` archives.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::document::{ConfigFile, Document, MAX_DOCUMENT};
use super::layer::{digest_text, unpack};
use super::name::{normalize, repository};
use super::store::{Image, ImageStore};
use crate::{Error, Result};

#[derive(Debug, Deserialize)]
struct DockerManifest {
    #[serde(rename = "Config")]
    config: PathBuf,
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Vec<PathBuf>,
}

/// An image found in a folder: where its parts are.
pub(super) struct Parts {
    pub(super) config: Vec<u8>,
    pub(super) layers: Vec<PathBuf>,
    /// Digests of the layer files, where the source promises any.
    pub(super) digests: Vec<Option<String>>,
}

impl ImageStore {
    pub(super) async fn import_all(&self) {
        let entries = fs::read_dir(self.dir().join("images")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort_unstable();
        for path in paths {
            match self.import(&path).await {
                Ok(ids) => tracing::info!(path = %path.display(), images = ids.len(), "images imported"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "image not imported"),
            }
        }
    }

    /// Imports the images of an OCI layout folder or an archive and returns their ids; none when it is unchanged since the last time.
    ///
    /// # Errors
    /// When it is neither, or its content is not what its digests say.
    pub async fn import(&self, path: &Path) -> Result<Vec<String>> {
        let _alone = self.lock_unpacking().await;
        let (store, path) = (self.clone(), path.to_owned());
        let import = move || store.import_now(&path);
        tokio::task::spawn_blocking(import).await.map_err(|error| Error::Failed(error.to_string()))?
    }

    fn import_now(&self, path: &Path) -> Result<Vec<String>> {
        let key = path.display().to_string();
        let looks = looks(path).map_err(Error::io(format!("read {key}")))?;
        if self.source(&key).as_ref() == Some(&looks) {
            return Ok(Vec::new());
        }
        let source = Some((key.clone(), looks));
        if path.is_dir() {
            return self.import_folder(path, path, source);
        }
        let folder = self.tmp("import");
        let unpacked = fs::create_dir(&folder).and_then(|()| unpack(File::open(path)?, &folder));
        let result = unpacked
            .map_err(Error::io(format!("unpack {key}")))
            .and_then(|_| self.import_folder(&folder, path, source));
        let _left = fs::remove_dir_all(&folder);
        result
    }

    fn import_folder(
        &self,
        folder: &Path,
        origin: &Path,
        source: Option<(String, String)>,
    ) -> Result<Vec<String>> {
        let failed = |error: io::Error| Error::Failed(format!("import {}: {error}", origin.display()));
        let images = if folder.join("manifest.json").exists() {
            docker_images(folder).map_err(failed)?
        } else {
            oci_images(folder, origin).map_err(failed)?
        };
        let mut ids = Vec::new();
        for (parts, names) in images {
            let mut image = self.unpack_parts(&parts).map_err(failed)?;
            image.tags = names.iter().map(|name| normalize(name)).collect();
            image.imported = true;
            ids.push(image.id.clone());
            self.add(image, source.clone())?;
        }
        Ok(ids)
    }

    /// Unpacks the layers that are not there yet and checks everything against the digests.
    pub(super) fn unpack_parts(&self, parts: &Parts) -> io::Result<Image> {
        let file: ConfigFile = serde_json::from_slice(&parts.config)?;
        if file.rootfs.diff_ids.len() != parts.layers.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "configuration and manifest disagree about the layers",
            ));
        }
        let mut size = 0;
        for ((diff_id, path), digest) in file.rootfs.diff_ids.iter().zip(&parts.layers).zip(&parts.digests) {
            size += match self.layer_size(diff_id) {
                Some(size) => size,
                None => self.unpack_layer(diff_id, path, digest.as_deref())?,
            };
        }
        let id = digest_text(&Sha256::digest(&parts.config));
        Ok(Image { id, layers: file.rootfs.diff_ids, size, config: file.config, ..Image::default() })
    }

    fn unpack_layer(&self, diff_id: &str, path: &Path, digest: Option<&str>) -> io::Result<u64> {
        let folder = self.tmp("layer");
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let result = File::open(path).and_then(|file| unpack(file, &folder)).and_then(|found| {
            if found.diff_id != diff_id || digest.is_some_and(|digest| digest != found.digest) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("layer {diff_id} has other content"),
                ));
            }
            Ok(found.bytes)
        });
        match result {
            Ok(bytes) => {
                self.adopt_layer(&folder, diff_id, bytes).map_err(io::Error::other)?;
                Ok(bytes)
            }
            Err(error) => {
                let _left = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }
}

/// What a file or layout looks like from outside.
fn looks(path: &Path) -> io::Result<String> {
    let seen = if path.is_dir() { path.join("index.json") } else { path.to_owned() };
    let meta = fs::metadata(seen)?;
    Ok(format!("{} {}.{}", meta.len(), meta.mtime(), meta.mtime_nsec()))
}

fn read_document<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&read_bounded(path)?)?)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_DOCUMENT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "document too large"));
    }
    fs::read(path)
}

/// A path named in a document, which must stay below `folder` and be a plain file.
fn inside(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let full = fs::canonicalize(folder.join(path))?;
    if full.starts_with(fs::canonicalize(folder)?) && full.is_file() {
        return Ok(full);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: leads out of the image", path.display())))
}

fn docker_images(folder: &Path) -> io::Result<Vec<(Parts, Vec<String>)>> {
    let manifests: Vec<DockerManifest> = read_document(&folder.join("manifest.json"))?;
    let parts = |manifest: DockerManifest| {
        let layers: io::Result<Vec<PathBuf>> =
            manifest.layers.iter().map(|layer| inside(folder, layer)).collect();
        let layers = layers?;
        let config = read_bounded(&inside(folder, &manifest.config)?)?;
        Ok((Parts { config, digests: vec![None; layers.len()], layers }, manifest.tags.unwrap_or_default()))
    };
    manifests.into_iter().map(parts).collect()
}

fn oci_images(folder: &Path, origin: &Path) -> io::Result<Vec<(Parts, Vec<String>)>> {
    let index: Document = read_document(&folder.join("index.json"))?;
    let mut images = Vec::new();
    for entry in index.manifests {
        let name = oci_name(&entry, origin);
        let Some(manifest) = find_manifest(folder, &entry.digest, 0)? else { continue };
        let config = manifest.config.ok_or(io::ErrorKind::InvalidData)?;
        let layers: io::Result<Vec<PathBuf>> =
            manifest.layers.iter().map(|layer| blob(folder, &layer.digest)).collect();
        let digests = manifest.layers.into_iter().map(|layer| Some(layer.digest)).collect();
        let config = read_verified(folder, &config.digest)?;
        images.push((Parts { config, layers: layers?, digests }, vec![name]));
    }
    Ok(images)
}

/// The name that an index entry's annotations give, completed by the folder's or archive's own name where they give a tag only.
fn oci_name(entry: &Document, origin: &Path) -> String {
    let stem = origin.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let full = entry.annotations.get("io.containerd.image.name");
    let reference = full.or_else(|| entry.annotations.get("org.opencontainers.image.ref.name"));
    match reference {
        Some(name) if name.contains(['/', ':']) => name.clone(),
        Some(tag) => format!("localhost/{stem}:{tag}"),
        None => format!("localhost/{stem}"),
    }
}

/// The image manifest that a digest leads to, through an index of platforms when it is one.
fn find_manifest(folder: &Path, digest: &str, depth: u8) -> io::Result<Option<Document>> {
    let document: Document = serde_json::from_slice(&read_verified(folder, digest)?)?;
    if document.config.is_some() {
        return Ok(Some(document));
    }
    match document.for_this_machine() {
        Some(entry) if depth < 4 => find_manifest(folder, &entry.digest, depth + 1),
        _ => Ok(None),
    }
}

fn blob(folder: &Path, digest: &str) -> io::Result<PathBuf> {
    inside(folder, &Path::new("blobs").join(digest.replacen(':', "/", 1)))
}

fn read_verified(folder: &Path, digest: &str) -> io::Result<Vec<u8>> {
    let bytes = read_bounded(&blob(folder, digest)?)?;
    if digest_text(&Sha256::digest(&bytes)) != digest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{digest} has other content")));
    }
    Ok(bytes)
}

/// The names of an image pulled as `name` with this manifest digest.
pub(super) fn digest_name(name: &str, digest: &str) -> String {
    format!("{}@{digest}", repository(name))
}
