//! Keeping containers from changing the program that supervises them.
//!
//! Before a container's process executes its own program it runs the supervisor's, and `/proc/self/exe` is a way to that file which does
//! not care about root directories: an image whose program is `/proc/self/exe` gets it executed, and can then open it for writing
//! (CVE-2019-5736). Supervisors are therefore executed through a mount of their program that is read-only and attached nowhere: a file
//! opened by way of it cannot be written, whoever opens it, and no container can reach the mount to change that.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::sys::{Depth, MountChange, change_mount};

/// A program that cannot be written to through its processes' `exe` links.
#[derive(Debug)]
pub(super) struct Sealed(OwnedFd);

impl Sealed {
    pub(super) fn new(program: &Path) -> io::Result<Self> {
        let mount =
            open_tree(CWD, program, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
        let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY.bits();
        change_mount(mount.as_fd(), Depth::One, MountChange { attributes: read_only, propagation: 0 })?;
        Ok(Self(mount))
    }

    /// Its path, for this process and children that have not executed anything yet, while this value lives.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.0.as_raw_fd().to_string())
    }
}
