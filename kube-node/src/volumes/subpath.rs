//! A path inside a volume that cannot lead out of it, whatever links a container put there.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, open, openat2};

use crate::{Error, Result};

/// The real path of `sub` below `volume`, made as directories where it does not exist.
///
/// Every step is resolved by the kernel below the volume's directory (`RESOLVE_BENEATH`), so a link that leaves it is an error. A container that swaps a directory for a link between
/// this look and the runtime's mount could still win a race; the runtime's mount is by path.
pub(super) fn resolve(volume: &Path, sub: &str) -> Result<PathBuf> {
    let relative = Path::new(sub);
    if relative.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(Error::Invalid(format!("subPath {sub:?} must be relative and must not contain \"..\"")));
    }
    let doing = || format!("open subPath {sub:?} of {}", volume.display());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mut here: OwnedFd = open(volume, flags, Mode::empty()).map_err(|e| Error::io(doing())(e.into()))?;
    let names: Vec<_> = relative.components().filter(|c| matches!(c, Component::Normal(_))).collect();
    for (i, name) in names.iter().enumerate() {
        let so_far: PathBuf = names.iter().take(i + 1).collect();
        let open_next = |base: &OwnedFd| openat2(base, &so_far, flags, Mode::empty(), ResolveFlags::BENEATH);
        let base = open(volume, flags, Mode::empty()).map_err(|e| Error::io(doing())(e.into()))?;
        here = match open_next(&base) {
            Err(rustix::io::Errno::NOENT) => {
                mkdirat(&here, name.as_os_str(), Mode::from_raw_mode(0o750))
                    .map_err(|e| Error::io(doing())(e.into()))?;
                open_next(&base)
            }
            other => other,
        }
        .map_err(|e| Error::io(doing())(e.into()))?;
    }
    let link = format!("/proc/self/fd/{}", here.as_raw_fd());
    let target = rustix::fs::readlinkat(CWD, link, Vec::new()).map_err(|e| Error::io(doing())(e.into()))?;
    Ok(PathBuf::from(String::from_utf8_lossy(target.as_bytes()).into_owned()))
}
