//! Images from registries.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};

use super::document::{Document, MAX_DOCUMENT};
use super::import::{Parts, digest_name};
use super::registry::{Fault, Reference, Repository};
use super::store::ImageStore;
use crate::seam::RegistryAuth;
use crate::{Error, Result};

/// Blobs of one image fetched at the same time.
const PARALLEL: usize = 3;

impl ImageStore {
    pub(super) async fn pull_from_registry(&self, name: &str, auth: Option<&RegistryAuth>) -> Result<String> {
        let reference = Reference::parse(name)?;
        let repository = self.registries().repository(&reference, auth);
        let resolved = repository.resolve().await.map_err(|fault| fault.explain(name))?;
        if let Some(image) = self.get(&digest_name(name, &resolved.digest)) {
            let id = image.id.clone();
            self.add(super::Image { tags: tag_of(name), ..image }, None)?;
            return Ok(id);
        }
        let folder = Folder(self.tmp("pull"));
        let made = tokio::fs::create_dir(&folder.0).await;
        made.map_err(Error::io(format!("create {}", folder.0.display())))?;
        let parts = fetch(&repository, resolved.document, &folder.0).await;
        let parts = parts.map_err(|fault| fault.explain(name))?;
        self.keep(name, &resolved.digest, parts).await
    }

    async fn keep(&self, name: &str, digest: &str, parts: Parts) -> Result<String> {
        let _alone = self.lock_unpacking().await;
        let store = self.clone();
        let unpacked = tokio::task::spawn_blocking(move || store.unpack_parts(&parts)).await;
        let mut image = unpacked
            .map_err(|error| Error::Failed(error.to_string()))?
            .map_err(|error| Error::Failed(format!("{name}: {error}")))?;
        image.tags = tag_of(name);
        image.digests = [digest_name(name, digest)].into();
        let id = image.id.clone();
        self.add(image, None)?;
        Ok(id)
    }
}

/// A folder that goes with its owner, also when a pull is given up halfway.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the store is opened the next time.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Fetches the parts of an image into a folder.
async fn fetch(
    repository: &Repository<'_>,
    resolved: Document,
    folder: &Path,
) -> std::result::Result<Parts, Fault> {
    let manifest = repository.manifest(resolved).await?;
    let none = || Fault::Content("the manifest names no configuration".to_owned());
    let config = manifest.config.as_deref().ok_or_else(none)?;
    if config.size.is_some_and(|size| size > MAX_DOCUMENT) {
        return Err(Fault::Content(format!("the configuration is larger than {MAX_DOCUMENT} bytes")));
    }
    let fetch = async |number: usize, blob: Document| {
        let path = folder.join(number.to_string());
        repository.blob(&blob, &path).await?;
        Ok::<_, Fault>(path)
    };
    let blobs: Vec<Document> = std::iter::once(config).chain(&manifest.layers).cloned().collect();
    let fetches = blobs.into_iter().enumerate().map(|(number, blob)| fetch(number, blob));
    let fetches = futures::stream::iter(fetches);
    let mut layers: Vec<PathBuf> = fetches.buffered(PARALLEL).try_collect().await?;
    let path = layers.remove(0);
    let config = tokio::fs::read(&path).await;
    let config =
        config.map_err(|error| Fault::Local(Error::io(format!("read {}", path.display()))(error)))?;
    // The client has compared everything with its digest.
    let digests = vec![None; layers.len()];
    Ok(Parts { config, layers, digests })
}

/// The name as a tag, unless it names a digest.
fn tag_of(name: &str) -> BTreeSet<String> {
    if name.contains('@') { BTreeSet::new() } else { [name.to_owned()].into() }
}
