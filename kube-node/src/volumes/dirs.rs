//! Where the files of a pod are.

use std::path::{Path, PathBuf};

/// The directory of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodDirs {
    root: PathBuf,
}

impl PodDirs {
    pub(crate) fn new(root: &Path, uid: &str) -> Self {
        Self { root: root.join("pods").join(uid) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    pub(crate) fn volume(&self, plugin: &str, name: &str) -> PathBuf {
        self.volumes().join(format!("kubernetes.io~{plugin}")).join(name)
    }

    pub(crate) fn hosts(&self) -> PathBuf {
        self.root.join("etc-hosts")
    }

    /// The file for the last words of an instance of a container.
    pub(crate) fn termination_log(&self, container: &str, attempt: u32) -> PathBuf {
        self.root.join("containers").join(container).join(attempt.to_string())
    }
}
