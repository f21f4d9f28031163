//! What a container sees of its cgroups.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::mount::MountAttrFlags;

use super::mounts::{self, Options};
use super::resolve::{Kind, Root};
use super::{During, Result};
use crate::shim::cgroup::Hierarchies;
use crate::shim::oci::Mount;
use crate::shim::sys::Depth;

/// Mounts the view. With version 2 that is the hierarchy as the container's cgroup namespace shows it; with version 1, which has had no
/// namespaces for most of its life, a folder with the container's own group of every hierarchy.
pub(super) fn mount(
    root: &Root,
    mount: &Mount,
    options: &Options,
    hierarchies: &Hierarchies,
    group: &str,
) -> Result<()> {
    if hierarchies.is_unified() {
        let unified = Mount { kind: "cgroup2".to_owned(), ..mount.clone() };
        return mounts::filesystem(root, &unified, options);
    }
    let what = || format!("mount {}", mount.destination.display());
    let folder = mounts::new_filesystem("tmpfs", &mount.source, &tmpfs()).during(what)?;
    mounts::attach(&folder, &mounts::target(root, mount, Kind::Folder)?).during(what)?;
    let mut access = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    access.set(MountAttrFlags::MOUNT_ATTR_RDONLY, options.read_only());
    for (hierarchy, path) in hierarchies.views(group) {
        view(&folder, hierarchy, &path, access)?;
    }
    for (name, target) in hierarchies.aliases() {
        // One that is there already is the hierarchy itself.
        let _exists = symlinkat(target, &folder, name);
    }
    mounts::restrict(folder.as_fd(), Depth::One, access).during(what)
}

fn tmpfs() -> Options {
    Options::parse(&["mode=755", "nosuid", "nodev", "noexec"].map(str::to_owned))
}

fn view(folder: &OwnedFd, hierarchy: &Path, group: &Path, access: MountAttrFlags) -> Result<()> {
    let what = || format!("mount cgroup {}", group.display());
    let Some(name) = hierarchy.file_name() else { return Ok(()) };
    let tree = mounts::clone_tree(group, Depth::All).during(what)?;
    mounts::restrict(tree.as_fd(), Depth::All, access).during(what)?;
    mkdirat(folder, name, Mode::from_raw_mode(0o755)).during(what)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(folder, name, flags, Mode::empty()).during(what)?;
    mounts::attach(&tree, &target).during(what)
}
