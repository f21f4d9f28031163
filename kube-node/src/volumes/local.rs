//! Volumes that the node makes itself. All of this blocks.

use std::{
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, HostPathVolumeSource, Volume};

use super::{atomic, manager::io, ownership};
use crate::{Error, Result, pod::quantity};

/// The kinds of volumes whose files come from the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
    DownwardApi,
    Projected,
}

impl Kind {
    pub(super) fn of(volume: &Volume) -> Self {
        match (&volume.config_map, &volume.secret, &volume.downward_api) {
            (Some(_), ..) => Self::ConfigMap,
            (_, Some(_), _) => Self::Secret,
            (_, _, Some(_)) => Self::DownwardApi,
            _ => Self::Projected,
        }
    }

    /// As in the names of directories.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
            Self::DownwardApi => "downward-api",
            Self::Projected => "projected",
        }
    }

    /// Whether the files may be secrets, which belong on no disk.
    fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Projected)
    }
}

/// Writes the files of a volume. With an fsGroup the group may read what the owner may.
pub(super) fn files(
    target: &Path,
    kind: Kind,
    mut files: atomic::Payload,
    group: Option<u32>,
    now: Timestamp,
) -> Result<()> {
    std::fs::create_dir_all(target).map_err(io("create", target))?;
    if kind.is_secret() {
        tmpfs(target, None)?;
    }
    if group.is_some() {
        files.values_mut().for_each(|file| file.mode |= (file.mode & 0o400) >> 3);
    }
    atomic::write(target, &files, group, now).map(|_| ())
}

/// Makes an empty directory that is kept for as long as the pod.
pub(super) fn empty_dir(path: &Path, source: &EmptyDirVolumeSource, group: Option<u32>) -> Result<()> {
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
    let device = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
    let is_mount = device(path) != device(path.parent().unwrap_or(path));
    if is_mount && rustix::fs::statfs(path).is_ok_and(|s| s.f_type as u64 == TMPFS_MAGIC) {
        return Ok(());
    }
    let options = size.map(|s| std::ffi::CString::new(format!("size={s}")).unwrap_or_default());
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    rustix::mount::mount("tmpfs", path, "tmpfs", flags, options.as_deref())
        .map_err(|e| io("mount tmpfs on", path)(e.into()))
}

/// Checks a host path, or makes it, by its type.
pub(super) fn host_path(source: &HostPathVolumeSource) -> Result<PathBuf> {
    let path = PathBuf::from(&source.path);
    let kind = std::fs::metadata(&path).map(|m| m.file_type()).ok();
    let is = |test: fn(&std::fs::FileType) -> bool| kind.as_ref().is_some_and(test);
    let missing = match source.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" if kind.is_none() => {
            std::fs::create_dir_all(&path).map_err(io("create", &path))?;
            None
        }
        "FileOrCreate" if kind.is_none() => {
            std::fs::write(&path, b"").map_err(io("create", &path))?;
            None
        }
        "Directory" | "DirectoryOrCreate" if !is(std::fs::FileType::is_dir) => Some("a directory"),
        "File" | "FileOrCreate" if !is(std::fs::FileType::is_file) => Some("a file"),
        "Socket" if !is(FileTypeExt::is_socket) => Some("a socket file"),
        "CharDevice" if !is(FileTypeExt::is_char_device) => Some("a character device"),
        "BlockDevice" if !is(FileTypeExt::is_block_device) => Some("a block device"),
        _ => None,
    };
    match missing {
        None => Ok(path),
        Some(what) => {
            Err(Error::Failed(format!("hostPath type check failed: {} is not {what}", source.path)))
        }
    }
}
