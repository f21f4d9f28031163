//! Removing a pod's directory without removing what is only mounted there.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::{PodDirs, manager::io};
use crate::{Error, Result};

/// Unmounts what the node itself mounted below a pod's directory and removes it. A driver's mount there is an error: what it holds is somebody's
/// data, which would be removed with the directory.
pub(super) fn remove_pod_dir(dirs: &PodDirs) -> Result<()> {
    let Ok(root) = std::fs::canonicalize(dirs.root()) else { return Ok(()) };
    let table = Path::new("/proc/self/mountinfo");
    let mounts = mounts_below(&std::fs::read(table).map_err(io("read", table))?, &root);
    let drivers = root.join("volumes/kubernetes.io~csi");
    if let Some(path) = mounts.iter().find(|path| path.starts_with(&drivers)) {
        return Err(Error::Failed(format!("{} is still mounted", path.display())));
    }
    for path in mounts.iter().rev() {
        // One that is in use goes when its last user does.
        rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH)
            .map_err(|error| io("unmount", path)(error.into()))?;
    }
    match std::fs::remove_dir_all(&root) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &root)(e)),
        _ => Ok(()),
    }
}

/// The mount points below a directory, outer ones before inner ones, from the kernel's table (proc(5), `/proc/pid/mountinfo`).
fn mounts_below(table: &[u8], root: &Path) -> Vec<PathBuf> {
    let lines = table.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let mut found: Vec<PathBuf> = points.map(unescape).filter(|p| p.starts_with(root) && p != root).collect();
    // The table lists mounts in the order of their making; one on top of the other has the same path twice.
    found.sort();
    found
}

/// Blanks and backslashes are octal numbers in the table.
fn unescape(point: &[u8]) -> PathBuf {
    let (mut out, mut rest) = (Vec::new(), point);
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_in_the_kernels_table() {
        let table = b"29 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            40 29 0:35 / /pods/a/volumes/x/in rw shared:1 - tmpfs tmpfs rw\n\
            41 29 0:36 / /pods/a/volumes/x rw - tmpfs tmpfs rw\n\
            42 29 0:37 / /pods/a/with\\040blank\\134 rw - tmpfs tmpfs rw\n\
            43 29 0:38 / /pods/ab rw - tmpfs tmpfs rw\n\
            44 29 0:39 / /pods/a rw - tmpfs tmpfs rw\n";
        let found = mounts_below(table, Path::new("/pods/a"));
        let expected = ["/pods/a/volumes/x", "/pods/a/volumes/x/in", "/pods/a/with blank\\"];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}
