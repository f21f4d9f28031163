//! Images on the node.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::ImageRef;
use crate::Result;

/// Finds, fetches and removes images (CRI `ImageService`).
#[async_trait]
pub trait ImageService: Send + Sync {
    /// All images that are completely there.
    async fn list(&self) -> Result<Vec<ImageStatus>>;

    /// The image that `image` (a name with optional tag or digest, or an id) means, or `None` when it is not there. A name without registry means
    /// `docker.io/library/…`, one without tag means `:latest`, as everywhere.
    async fn status(&self, image: &str) -> Result<Option<ImageStatus>>;

    /// Fetches `image` and returns the reference to put into [`ContainerConfig::image`](super::ContainerConfig::image). Pulls of one image that overlap may share the work. An image
    /// that is already there is looked up again in its registry. Fails with `Failed` (registry's answer as the text) or `Unavailable` (no answer).
    async fn pull(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<ImageRef>;

    /// Removes the image and all its names. Containers made from it keep running.
    async fn remove(&self, image: &str) -> Result<()>;

    /// How much room the images take.
    async fn usage(&self) -> Result<FsUsage>;
}

/// An image on the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageStatus {
    /// Digest of its configuration, `sha256:…`.
    pub id: ImageRef,
    /// Names with tag.
    pub repo_tags: Vec<String>,
    /// Names with digest.
    pub repo_digests: Vec<String>,
    /// Bytes on disk.
    pub size: u64,
    /// The configured user as the image gives it (`0`, `1000:1000`, `nobody`); empty means root.
    pub user: String,
    /// Whether garbage collection leaves it alone.
    pub pinned: bool,
}

impl ImageStatus {
    /// The numeric user id, where the image gives one; an unset user is 0.
    pub fn uid(&self) -> Option<i64> {
        match self.user.split(':').next() {
            None | Some("") => Some(0),
            Some(user) => user.parse().ok(),
        }
    }
}

/// Credentials for a registry, from an image pull secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RegistryAuth {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
    /// OAuth2 identity token, instead of the two above.
    pub identity_token: String,
    /// Bearer token for the registry, instead of all the above.
    pub registry_token: String,
}

impl std::fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryAuth").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Space on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FsUsage {
    /// Bytes used.
    pub used_bytes: u64,
    /// Inodes used.
    pub inodes_used: u64,
}
