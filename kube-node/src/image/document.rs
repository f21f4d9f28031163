//! The JSON documents of the OCI image specification, and Docker's older ones, which look the same: only the fields that matter here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::store::ImageConfig;

/// The largest manifest or configuration that is read, in bytes.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;

/// A descriptor, or a whole index or manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    pub(super) schema_version: u32,
    pub(super) digest: String,
    pub(super) size: Option<u64>,
    pub(super) annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
    pub(super) manifests: Vec<Document>,
    pub(super) config: Option<Box<Document>>,
    pub(super) layers: Vec<Document>,
}

impl Document {
    /// Of an index, the manifest for this machine: one that says so, else the first that says nothing.
    pub(super) fn for_this_machine(&self) -> Option<&Self> {
        let ours = |entry: &&Self| entry.platform.as_ref().is_some_and(Platform::is_ours);
        let unsaid = |entry: &&Self| entry.platform.is_none();
        self.manifests.iter().find(ours).or_else(|| self.manifests.iter().find(unsaid))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Platform {
    architecture: String,
    os: String,
}

impl Platform {
    fn is_ours(&self) -> bool {
        self.os == "linux" && self.architecture == architecture()
    }
}

/// This machine's architecture as images name it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image configuration.
#[derive(Debug, Deserialize)]
pub(super) struct ConfigFile {
    #[serde(default)]
    pub(super) config: ImageConfig,
    pub(super) rootfs: RootFs,
}

/// What an image configuration says about layers.
#[derive(Debug, Deserialize)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<String>,
}
