//! Notes on disk about volumes of drivers.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::manager::io;
use crate::{Error, Result};

/// Upstream's name for such a note.
const FILE: &str = "vol_data.json";

/// Which volume of which driver; with upstream's field names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Note {
    pub(super) driver_name: String,
    pub(super) volume_handle: String,
}

/// A staged volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) note: Note,
    pub(super) dir: PathBuf,
}

impl Staged {
    /// Where the driver has staged it.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.join("globalmount")
    }
}

/// Where a volume is staged. The handle may hold anything, hence its digest, as upstream.
pub(super) fn staging_path(root: &Path, note: &Note) -> PathBuf {
    let hash = Sha256::digest(note.volume_handle.as_bytes());
    let name = hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    staging_root(root).join(&note.driver_name).join(name).join("globalmount")
}

fn staging_root(root: &Path) -> PathBuf {
    root.join("plugins/kubernetes.io/csi")
}

impl Note {
    /// Writes the note into a directory, which is made when it is missing. A note that is there is whole.
    pub(super) async fn write(&self, dir: &Path) -> Result<()> {
        tokio::fs::create_dir_all(dir).await.map_err(io("create", dir))?;
        let (fresh, path) = (dir.join(".vol_data.json"), dir.join(FILE));
        let text = serde_json::to_vec(self).map_err(|error| Error::Invalid(error.to_string()))?;
        tokio::fs::write(&fresh, text).await.map_err(io("write", &fresh))?;
        tokio::fs::rename(&fresh, &path).await.map_err(io("write", &path))
    }

    pub(super) async fn remove(dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        tokio::fs::remove_file(&path).await.map_err(io("remove", &path))
    }

    /// The note in a directory; `None` where there is none. One that cannot be read is an error, since nobody knows then what is there.
    fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match std::fs::read(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            text => text.map_err(io("read", &path))?,
        };
        let note = serde_json::from_slice(&text);
        note.map(Some).map_err(|error| Error::Failed(format!("{}: {error}", path.display())))
    }
}

/// The entries of a directory; none when it is not there.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(io("read", dir))?,
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(io("read", dir))).collect()
}

/// The volumes of drivers in a pod's directory of volumes.
pub(super) fn in_pod(volumes: &Path) -> Result<Vec<(PathBuf, Note)>> {
    let mut found = Vec::new();
    for dir in entries(&volumes.join("kubernetes.io~csi"))? {
        found.extend(Note::read(&dir)?.map(|note| (dir, note)));
    }
    Ok(found)
}

/// What all pods together use.
pub(super) fn used(root: &Path) -> Result<BTreeSet<Note>> {
    let mut found = BTreeSet::new();
    for pod in entries(&root.join("pods"))? {
        found.extend(in_pod(&pod.join("volumes"))?.into_iter().map(|(_, note)| note));
    }
    Ok(found)
}

/// What is staged.
pub(super) fn staged(root: &Path) -> Result<Vec<Staged>> {
    let mut found = Vec::new();
    for driver in entries(&staging_root(root))? {
        for dir in entries(&driver)? {
            found.extend(Note::read(&dir)?.map(|note| Staged { note, dir }));
        }
    }
    Ok(found)
}
