//! `fsGroup`: the group that may use a pod's volumes.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::Path,
};

use crate::{Error, Result};

/// Gives everything below `path` to the group, readable and writable for it; directories pass the group on.
pub(super) fn give_to_group(path: &Path, group: u32, read_only: bool) -> Result<()> {
    let doing = || format!("give {} to group {group}", path.display());
    let meta = fs::symlink_metadata(path).map_err(Error::io(doing()))?;
    lchown(path, None, Some(group)).map_err(Error::io(doing()))?;
    if meta.file_type().is_symlink() {
        return Ok(());
    }
    let wanted = if read_only { 0o440 } else { 0o660 };
    let extra = if meta.is_dir() { 0o2110 } else { 0 };
    let mode = meta.mode() & 0o7777 | wanted | extra;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io(doing()))?;
    if meta.is_dir() {
        for entry in fs::read_dir(path).map_err(Error::io(doing()))?.flatten() {
            give_to_group(&entry.path(), group, read_only)?;
        }
    }
    Ok(())
}

/// Whether the top of a volume already belongs to the group, which is all that `fsGroupChangePolicy: OnRootMismatch` looks at.
pub(super) fn root_matches(path: &Path, group: u32) -> bool {
    fs::metadata(path).is_ok_and(|m| m.gid() == group && m.mode() & 0o2070 == 0o2070)
}
