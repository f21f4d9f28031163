//! Mounts: made detached, changed while nobody can reach them, then attached where a walk below the root ended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, PROC_SUPER_MAGIC, fstat, fstatfs};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::resolve::{Kind, Root};
use super::{During, Result};
use crate::shim::oci::{Mount, Propagation};
use crate::shim::sys::{Depth, MountChange, change_mount};

/// What a mount's options ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// The kernel's general attributes.
    attributes: u32,
    /// Those that mounts below get too.
    recursive: u32,
    pub(super) propagation: Option<Propagation>,
    /// Whether what is mounted below a folder of the host is left out.
    shallow: bool,
    /// The file system's own.
    data: Vec<(String, Option<String>)>,
}

impl Options {
    const ATTRIBUTES: [(&str, MountAttrFlags); 8] = [
        ("ro", MountAttrFlags::MOUNT_ATTR_RDONLY),
        ("nosuid", MountAttrFlags::MOUNT_ATTR_NOSUID),
        ("nodev", MountAttrFlags::MOUNT_ATTR_NODEV),
        ("noexec", MountAttrFlags::MOUNT_ATTR_NOEXEC),
        ("noatime", MountAttrFlags::MOUNT_ATTR_NOATIME),
        ("strictatime", MountAttrFlags::MOUNT_ATTR_STRICTATIME),
        ("nodiratime", MountAttrFlags::MOUNT_ATTR_NODIRATIME),
        ("nosymfollow", MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    ];
    /// What a mount has anyway. A writable one is not made so: that would override a read-only mount of the host.
    const DEFAULTS: [&str; 6] = ["rw", "suid", "dev", "exec", "relatime", "rbind"];

    pub(super) fn parse(options: &[String]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            parsed.add(option);
        }
        parsed
    }

    fn add(&mut self, option: &str) {
        if let Some((_, attribute)) = Self::ATTRIBUTES.iter().find(|(name, _)| *name == option) {
            self.attributes |= attribute.bits();
            return;
        }
        match option {
            "bind" => self.shallow = true,
            "rro" => self.recursive |= MountAttrFlags::MOUNT_ATTR_RDONLY.bits(),
            "private" | "rprivate" => self.propagation = Some(Propagation::Private),
            "slave" | "rslave" => self.propagation = Some(Propagation::Slave),
            "shared" | "rshared" => self.propagation = Some(Propagation::Shared),
            known if Self::DEFAULTS.contains(&known) => {}
            other => self.data.push(match other.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (other.to_owned(), None),
            }),
        }
    }

    /// Whether the mount is read-only.
    pub(super) fn read_only(&self) -> bool {
        (self.attributes | self.recursive) & MountAttrFlags::MOUNT_ATTR_RDONLY.bits() != 0
    }
}

/// The kernel's number for a propagation type.
pub(super) fn propagation_flag(propagation: Propagation) -> u64 {
    match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Shared => libc::MS_SHARED,
    }
}

/// A copy of the host's mounts at `path`, attached nowhere.
pub(super) fn clone_tree(path: &Path, depth: Depth) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, depth == Depth::All);
    Ok(open_tree(CWD, path, flags)?)
}

/// What a mount of a file or folder of the host mounts.
pub(super) fn source(mount: &Mount, options: &Options) -> io::Result<OwnedFd> {
    clone_tree(&mount.source, if options.shallow { Depth::One } else { Depth::All })
}

/// A copy of the mounts at a file or folder that is open already.
pub(super) fn clone_at(fd: BorrowedFd<'_>, depth: Depth) -> io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, depth == Depth::All);
    Ok(open_tree(fd, "", flags)?)
}

/// A new file system, attached nowhere.
pub(super) fn new_filesystem(kind: &str, source: &Path, options: &Options) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", source)?;
    for (name, value) in &options.data {
        match value {
            Some(value) => fsconfig_set_string(&context, name.as_str(), value.as_str())?,
            None => fsconfig_set_flag(&context, name.as_str())?,
        }
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::from_bits_retain(options.attributes | options.recursive);
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Puts a detached mount on top of what `target` is.
pub(super) fn attach(mount: &OwnedFd, target: impl AsFd) -> io::Result<()> {
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", target, "", both)?)
}

/// Adds attributes to one mount.
pub(super) fn restrict(mount: BorrowedFd<'_>, depth: Depth, attributes: MountAttrFlags) -> io::Result<()> {
    change_mount(mount, depth, MountChange { attributes: attributes.bits(), propagation: 0 })
}

/// Mounts a file or folder of the host. `tree` is the copy of it, where it had to be taken before propagation from the host was cut.
pub(super) fn bind(root: &Root, mount: &Mount, options: &Options, tree: Option<OwnedFd>) -> Result<()> {
    let what = || format!("mount {} at {}", mount.source.display(), mount.destination.display());
    let tree = tree.map_or_else(|| source(mount, options), Ok).during(what)?;
    change_tree(&tree, options).during(what)?;
    let is_folder = FileType::from_raw_mode(fstat(&tree).during(what)?.st_mode) == FileType::Directory;
    let kind = if is_folder { Kind::Folder } else { Kind::File };
    let target = target(root, mount, kind)?;
    attach(&tree, &target).during(what)
}

fn change_tree(tree: &OwnedFd, options: &Options) -> io::Result<()> {
    let propagation = propagation_flag(options.propagation.unwrap_or(Propagation::Private));
    let all = MountChange { attributes: options.recursive, propagation };
    change_mount(tree.as_fd(), Depth::All, all)?;
    if options.attributes == 0 {
        return Ok(());
    }
    change_mount(tree.as_fd(), Depth::One, MountChange { attributes: options.attributes, propagation: 0 })
}

/// Mounts a new file system.
pub(super) fn filesystem(root: &Root, mount: &Mount, options: &Options) -> Result<()> {
    let what = || format!("mount {} at {}", mount.kind, mount.destination.display());
    let fresh = new_filesystem(&mount.kind, &mount.source, options).during(what)?;
    let target = target(root, mount, Kind::Folder)?;
    attach(&fresh, &target).during(what)
}

/// The place to mount at, made when it is missing.
pub(super) fn target(root: &Root, mount: &Mount, kind: Kind) -> Result<OwnedFd> {
    let destination = mount.destination.as_path();
    let what = || format!("mount point {}", destination.display());
    let found = root.make(destination, kind).during(what)?;
    let refuse = |why: &str| Err(format!("{}: {why}", what()));
    // An image with a link there could otherwise say what the container's own processes read and write as theirs.
    let of_kernel = matches!(mount.kind.as_str(), "proc" | "sysfs") || destination == Path::new("/proc");
    if of_kernel && found.linked {
        return refuse("is a symbolic link, and must be an ordinary folder");
    }
    let same = |one: rustix::fs::Stat, other: rustix::fs::Stat| {
        (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
    };
    if same(fstat(&found.fd).during(what)?, fstat(root.fd()).during(what)?) {
        return refuse("is the root");
    }
    // A file directly in it (as lxcfs replaces some) may be covered, a process's or the kernel's folders not.
    let in_proc = fstatfs(&found.fd).during(what)?.f_type == PROC_SUPER_MAGIC;
    let direct = destination.parent() == Some(Path::new("/proc")) && kind == Kind::File && !found.linked;
    if in_proc && !direct && !of_kernel {
        return refuse("is inside the process file system");
    }
    Ok(found.fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &[&str], expected: &Options) {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        assert_eq!(Options::parse(&options), *expected);
    }

    #[test]
    fn options_are_attributes_propagation_or_the_file_systems() {
        check(&["rbind", "rw"], &Options::default());
        check(&["bind", "ro"], &Options { attributes: 1, shallow: true, ..Options::default() });
        check(
            &["nosuid", "strictatime", "mode=755", "newinstance"],
            &Options {
                attributes: 0x22,
                data: vec![("mode".into(), Some("755".into())), ("newinstance".into(), None)],
                ..Options::default()
            },
        );
        check(
            &["rbind", "rslave", "rro"],
            &Options { recursive: 1, propagation: Some(Propagation::Slave), ..Options::default() },
        );
        assert!(Options { recursive: 1, ..Options::default() }.read_only());
        assert!(!Options::default().read_only());
    }
}
