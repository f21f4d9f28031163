//! Terminals, made in the container's own `devpts` so that their names mean something there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, major, minor, openat2};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};

use super::mounts;
use super::resolve::{Kind, Root};
use crate::shim::sys::Depth;

/// The two ends of a terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) master: OwnedFd,
    pub(super) slave: OwnedFd,
}

/// Opens a terminal of the container whose root is `root`.
pub(super) fn open(root: BorrowedFd<'_>) -> io::Result<Terminal> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let master = openat2(root, "dev/pts/ptmx", flags, Mode::empty(), resolve)?;
    let stat = fstat(&master)?;
    let is_ptmx = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (5, 2);
    if !is_ptmx {
        return Err(io::Error::other("/dev/pts/ptmx is no terminal"));
    }
    unlockpt(&master)?;
    // By the master and not by name, which could mean another terminal.
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok(Terminal { master, slave })
}

/// Puts the terminal at `/dev/console` too.
pub(super) fn show_as_console(root: &Root, terminal: &Terminal) -> io::Result<()> {
    let target = root.make(Path::new("/dev/console"), Kind::File)?;
    let tree = mounts::clone_at(terminal.slave.as_fd(), Depth::One)?;
    mounts::attach(&tree, &target.fd)
}
