//! From the host's file system to the container's, in a mount namespace of its own.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{
    MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::mounts::{self, Options};
use super::resolve::{Kind, Root};
use super::{During, Result, cgroup_view, credentials, devices, masks, terminal};
use crate::shim::cgroup::Hierarchies;
use crate::shim::oci::{Mount, Process, Propagation, Spec};
use crate::shim::protocol::Overlay;
use crate::shim::sys::{self, Depth, MountChange, Namespaces, change_mount};

/// What a root is built from.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) spec: &'a Spec,
    /// The folder whose sub-folders are image layers.
    pub(super) layers: &'a Path,
    pub(super) overlay: &'a Overlay,
    /// Where the layers are mounted before that becomes `/`.
    pub(super) rootfs: &'a Path,
    pub(super) hierarchies: &'a Hierarchies,
}

/// Builds the root and makes it this process's. Returns the two ends of the container's terminal, if it has one.
pub(super) fn enter(plan: &Plan<'_>) -> Result<Option<terminal::Terminal>> {
    let spec = plan.spec;
    let shared = shared_trees(&spec.mounts)?;
    cut_propagation()?;
    mount_overlay(plan).during(|| format!("mount {}", plan.rootfs.display()))?;
    let root = Root::open(plan.rootfs).during(|| "open the root".into())?;
    for (mount, tree) in spec.mounts.iter().zip(shared) {
        place(plan, &root, mount, tree)?;
    }
    let terminal = furnish(&root, spec)?;
    root.make(&spec.process.cwd, Kind::Folder)
        .during(|| format!("make working directory {}", spec.process.cwd.display()))?;
    masks::protect(&root, &spec.linux.readonly_paths)?;
    masks::mask(&root, &spec.linux.masked_paths)?;
    switch(&root, spec).during(|| "change the root".into())?;
    Ok(terminal)
}

/// Copies of the trees whose mounts travel back to the host: taken while the mounts they come from still do.
fn shared_trees(mounts: &[Mount]) -> Result<Vec<Option<OwnedFd>>> {
    let tree = |mount: &Mount| {
        let options = Options::parse(&mount.options);
        if mount.kind != "bind" || options.propagation != Some(Propagation::Shared) {
            return Ok(None);
        }
        mounts::source(mount, &options).map(Some).during(|| format!("mount {}", mount.source.display()))
    };
    mounts.iter().map(tree).collect()
}

/// Layers are named relative to their folder because the kernel takes one page of options only.
fn mount_overlay(plan: &Plan<'_>) -> io::Result<()> {
    chdir(plan.layers)?;
    let Overlay { lower, upper, work } = plan.overlay;
    let data =
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
    let data = CString::new(data)?;
    mount("overlay", plan.rootfs, "overlay", MountFlags::empty(), data.as_c_str())?;
    Ok(chdir("/")?)
}

fn place(plan: &Plan<'_>, root: &Root, mount: &Mount, tree: Option<OwnedFd>) -> Result<()> {
    let options = Options::parse(&mount.options);
    match mount.kind.as_str() {
        "bind" => mounts::bind(root, mount, &options, tree),
        "cgroup" => {
            cgroup_view::mount(root, mount, &options, plan.hierarchies, &plan.spec.linux.cgroups_path)
        }
        _ => mounts::filesystem(root, mount, &options),
    }
}

/// Devices and terminal, unless `/dev` is the host's: that has its own, and must not get ours.
fn furnish(root: &Root, spec: &Spec) -> Result<Option<terminal::Terminal>> {
    let is_hosts = |mount: &Mount| mount.destination == Path::new("/dev") && mount.kind == "bind";
    let foreign = spec.mounts.iter().any(is_hosts);
    if !foreign {
        devices::populate(root, &spec.linux.devices)?;
    }
    if !spec.process.terminal {
        return Ok(None);
    }
    let terminal = terminal::open(root.fd()).during(|| "open a terminal".into())?;
    if !foreign {
        terminal::show_as_console(root, &terminal).during(|| "mount /dev/console".into())?;
    }
    Ok(Some(terminal))
}

/// Gives up capabilities and the host's file system, for an empty one that cannot be written; `at` is any folder.
pub(in crate::shim) fn renounce(at: &Path) -> Result<()> {
    let what = || "leave the host's file system".to_owned();
    sys::unshare(Namespaces::NEWNS).during(what)?;
    cut_propagation()?;
    let empty = masks::empty_folder().during(what)?;
    mounts::attach(&empty, Root::open(at).during(what)?.fd()).during(what)?;
    pivot(empty.as_fd()).during(what)?;
    credentials::apply(&Process { no_new_privileges: true, ..Process::default() })
}

/// Nothing mounted here may reach the host; what the host mounts still comes in, for the volumes that want it.
fn cut_propagation() -> Result<()> {
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .during(|| "keep mounts from the host".into())
}

/// Makes the mount that `root` is the top of `/`, and drops everything outside.
fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    fchdir(root)?;
    // The old root lands on top of the new one, where `.` finds and removes it; no folder is needed for it.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}

/// Makes the finished root `/`.
fn switch(root: &Root, spec: &Spec) -> io::Result<()> {
    if spec.root.readonly {
        mounts::restrict(root.fd(), Depth::One, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    }
    pivot(root.fd())?;
    let propagation = mounts::propagation_flag(spec.linux.rootfs_propagation.unwrap_or(Propagation::Private));
    change_mount(root.fd(), Depth::One, MountChange { attributes: 0, propagation })
}
