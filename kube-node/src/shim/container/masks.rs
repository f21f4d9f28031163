//! Paths that a container must not read or not write.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, fstat, major, minor};
use rustix::mount::MountAttrFlags;

use super::mounts::{self, Options};
use super::resolve::Root;
use super::{During, Result};
use crate::shim::sys::Depth;

/// Covers each path with something empty; those that are not there need nothing.
pub(super) fn mask(root: &Root, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let what = || format!("mask {}", path.display());
        let Some(target) = root.find(path).during(what)? else { continue };
        let is_folder = FileType::from_raw_mode(fstat(&target).during(what)?.st_mode) == FileType::Directory;
        let cover = if is_folder { empty_folder() } else { null() };
        mounts::attach(&cover.during(what)?, &target).during(what)?;
    }
    Ok(())
}

/// A file system with nothing in it that takes nothing in.
pub(super) fn empty_folder() -> std::io::Result<OwnedFd> {
    let options = ["ro", "nosuid", "nodev", "noexec", "size=0k", "mode=755"].map(str::to_owned);
    mounts::new_filesystem("tmpfs", Path::new("tmpfs"), &Options::parse(&options))
}

/// The host's null device: the container's own could be something else by now.
fn null() -> std::io::Result<OwnedFd> {
    let tree = mounts::clone_tree(Path::new("/dev/null"), Depth::One)?;
    let stat = fstat(&tree)?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    if is_null { Ok(tree) } else { Err(std::io::Error::other("the host's /dev/null is none")) }
}

/// Mounts each path, with everything below it, over itself and read-only.
pub(super) fn protect(root: &Root, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let what = || format!("make {} read-only", path.display());
        let Some(target) = root.find(path).during(what)? else { continue };
        let tree = mounts::clone_at(target.as_fd(), Depth::All).during(what)?;
        mounts::restrict(tree.as_fd(), Depth::All, MountAttrFlags::MOUNT_ATTR_RDONLY).during(what)?;
        mounts::attach(&tree, &target).during(what)?;
    }
    Ok(())
}
