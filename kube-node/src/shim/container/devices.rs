//! Device nodes and links in a container's `/dev`.

use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, chownat, makedev, mknodat, symlinkat};
use rustix::io::Errno;
use rustix::process::umask;

use super::resolve::Root;
use super::{During, Result};
use crate::shim::oci::{Device, DeviceKind};

/// The nodes that every container has: name, major and minor number.
const STANDARD: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The links that every container has.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Makes the standard nodes and links, and `devices`.
pub(super) fn populate(root: &Root, devices: &[Device]) -> Result<()> {
    // Nodes get exactly their permissions when they are made; setting them afterwards could hit something else in a shared folder.
    let before = umask(Mode::empty());
    let standard = STANDARD.map(|(name, major, minor)| Device {
        path: Path::new("/dev").join(name),
        kind: DeviceKind::Character,
        major,
        minor,
        file_mode: 0o666,
        uid: 0,
        gid: 0,
    });
    let made = standard.iter().chain(devices).try_for_each(|device| node(root, device));
    umask(before);
    made?;
    LINKS.iter().try_for_each(|(name, target)| link(root, &Path::new("/dev").join(name), target))
}

fn node(root: &Root, device: &Device) -> Result<()> {
    let what = || format!("make device {}", device.path.display());
    let kind = match device.kind {
        DeviceKind::Block => FileType::BlockDevice,
        DeviceKind::Character => FileType::CharacterDevice,
    };
    let mode = Mode::from_raw_mode(device.file_mode & 0o777);
    let (folder, name) = root.make_parent(&device.path).during(what)?;
    match mknodat(&folder, name, kind, mode, makedev(device.major, device.minor)) {
        Err(Errno::EXIST) => return Ok(()),
        made => made.during(what)?,
    }
    let owner = (Some(Uid::from_raw(device.uid)), Some(Gid::from_raw(device.gid)));
    chownat(&folder, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).during(what)
}

fn link(root: &Root, path: &Path, target: &str) -> Result<()> {
    let what = || format!("make link {}", path.display());
    let (folder, name) = root.make_parent(path).during(what)?;
    match symlinkat(target, &folder, name) {
        Err(Errno::EXIST) => Ok(()),
        made => made.during(what),
    }
}
