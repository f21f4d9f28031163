//! Volumes that are folders of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::seam::{PublishVolume, StageVolume, StoragePlugin, VolumeRef, VolumeStats};
use crate::{Error, Result};

/// What a volume of the fake driver can hold, in bytes.
const CAPACITY: u64 = 1 << 30;

/// A driver whose volumes are folders and whose publishing is a symbolic link, so that it works without root. It refuses what is out of order:
/// publishing what is not staged, and unstaging what is published.
#[derive(Debug)]
pub struct FakeStorage {
    name: String,
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    staged: BTreeSet<String>,
    /// Target paths, each with its volume.
    published: BTreeMap<PathBuf, String>,
}

impl FakeStorage {
    /// A driver called `name` that keeps its volumes below `folder`; each is made when it is staged first.
    #[must_use]
    pub fn new(name: &str, folder: PathBuf) -> Self {
        Self { name: name.to_owned(), folder, state: Mutex::default() }
    }

    /// The volumes that are staged.
    #[must_use]
    pub fn staged(&self) -> Vec<String> {
        self.state.lock().staged.iter().cloned().collect()
    }

    /// Where volumes are published, each with its volume.
    #[must_use]
    pub fn published(&self) -> BTreeMap<PathBuf, String> {
        self.state.lock().published.clone()
    }

    fn volume(&self, id: &str) -> Result<PathBuf> {
        if id.is_empty() || id.contains('/') || id.starts_with('.') {
            return Err(Error::Invalid(format!("{id:?} is no volume's name")));
        }
        Ok(self.folder.join(id))
    }
}

#[async_trait]
impl StoragePlugin for FakeStorage {
    fn name(&self) -> &str {
        &self.name
    }

    async fn stage(&self, request: &StageVolume) -> Result<()> {
        let volume = self.volume(&request.volume.id)?;
        std::fs::create_dir_all(&volume).map_err(Error::io(format!("create {}", volume.display())))?;
        self.state.lock().staged.insert(request.volume.id.clone());
        Ok(())
    }

    async fn unstage(&self, volume: &VolumeRef, _: &Path) -> Result<()> {
        let mut state = self.state.lock();
        if state.published.values().any(|published| *published == volume.id) {
            return Err(Error::Conflict(format!("volume {:?} is still published", volume.id)));
        }
        state.staged.remove(&volume.id);
        Ok(())
    }

    async fn publish(&self, request: &PublishVolume) -> Result<()> {
        let (volume, target) = (self.volume(&request.volume.id)?, &request.target_path);
        let mut state = self.state.lock();
        if !state.staged.contains(&request.volume.id) {
            return Err(Error::Conflict(format!("volume {:?} is not staged", request.volume.id)));
        }
        match std::os::unix::fs::symlink(volume, target) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::io(format!("publish at {}", target.display()))(error));
            }
            _ => {}
        }
        state.published.insert(target.clone(), request.volume.id.clone());
        Ok(())
    }

    async fn unpublish(&self, _: &VolumeRef, target_path: &Path) -> Result<()> {
        match std::fs::remove_file(target_path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", target_path.display()))(error))
            }
            _ => {
                self.state.lock().published.remove(target_path);
                Ok(())
            }
        }
    }

    async fn stats(&self, volume: &VolumeRef, path: &Path) -> Result<VolumeStats> {
        if !path.exists() {
            return Err(Error::not_found("volume", &volume.id));
        }
        let entries = std::fs::read_dir(path).map_err(Error::io(format!("read {}", path.display())))?;
        let sizes: Vec<u64> =
            entries.flatten().map(|entry| entry.metadata().map_or(0, |meta| meta.len())).collect();
        let (used_bytes, inodes_used) = (sizes.iter().sum(), sizes.len() as u64);
        Ok(VolumeStats { capacity_bytes: CAPACITY, used_bytes, inodes: 1 << 16, inodes_used })
    }
}
