//! Images of the fake runtime: every name exists unless a script says that it cannot be pulled.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::state::State;
use crate::{
    Error, Result,
    image::normalize,
    seam::{FsUsage, ImageRef, ImageService, ImageStatus, RegistryAuth},
};

pub(super) struct FakeImages {
    pub(super) state: Arc<Mutex<State>>,
}

fn digest_of(image: &str) -> String {
    let hash = Sha256::digest(image.as_bytes());
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

#[async_trait]
impl ImageService for FakeImages {
    async fn list(&self) -> Result<Vec<ImageStatus>> {
        Ok(self.state.lock().images.values().cloned().collect())
    }

    async fn status(&self, image: &str) -> Result<Option<ImageStatus>> {
        let state = self.state.lock();
        let found = state.images.get(&normalize(image));
        Ok(found.or_else(|| state.images.values().find(|i| i.id == image)).cloned())
    }

    async fn pull(&self, image: &str, _: Option<&RegistryAuth>) -> Result<ImageRef> {
        let name = normalize(image);
        let mut state = self.state.lock();
        if let Some(text) = state.scripts.get(image).and_then(|s| s.pull_error.clone()) {
            return Err(Error::Failed(text));
        }
        let id = digest_of(&name);
        let repository =
            name.split('@').next().unwrap_or(&name).rsplit_once(':').map_or(name.as_str(), |(r, _)| r);
        let status = ImageStatus {
            id: id.clone(),
            repo_digests: vec![format!("{repository}@{id}")],
            repo_tags: vec![name.clone()],
            size: 1,
            ..ImageStatus::default()
        };
        state.images.insert(name, status);
        Ok(id)
    }

    async fn remove(&self, image: &str) -> Result<()> {
        let name = normalize(image);
        self.state.lock().images.retain(|key, status| *key != name && status.id != image);
        Ok(())
    }

    async fn usage(&self) -> Result<FsUsage> {
        let images = self.state.lock().images.len() as u64;
        Ok(FsUsage { used_bytes: images, inodes_used: images })
    }
}
