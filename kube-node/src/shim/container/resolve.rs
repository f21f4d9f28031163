//! Paths below a root that belongs to somebody else.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

/// Symbolic links in one path before it is taken for a loop; the kernel's number.
const MOST_LINKS: u32 = 40;

/// What to do about a component that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Refuse,
    /// Make folders, and at the end this.
    Make(Kind),
}

/// What stands at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
}

/// The root folder of a file system in which others may make symbolic links and move folders while it is walked.
///
/// A path is walked one component at a time, each opened in the folder before it and never through a link. A link is read and its text
/// walked as if it stood in the path, an absolute one from the root; `..` goes back to the folder the walk came from. So no path
/// leads out, also one that does not exist yet and is made on the way, which `openat2` alone could not do.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// Where a walk ended.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) fd: OwnedFd,
    /// Whether a symbolic link was on the way.
    pub(super) linked: bool,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// What is at `path`; `None` when nothing is.
    pub(super) fn find(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        match self.walk(path, Missing::Refuse) {
            Ok(found) => Ok(Some(found.fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is at `path`, made with its folders when it is not there.
    pub(super) fn make(&self, path: &Path, kind: Kind) -> io::Result<Found> {
        Ok(self.walk(path, Missing::Make(kind))?)
    }

    /// The folder of `path`, made when it is not there, and the last name.
    pub(super) fn make_parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((self.make(parent, Kind::Folder)?.fd, name))
    }

    fn walk(&self, path: &Path, missing: Missing) -> rustix::io::Result<Found> {
        let mut rest = names(path);
        let mut trail: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                trail.pop();
                continue;
            }
            let here = trail.last().map_or(self.fd(), OwnedFd::as_fd);
            let next = open_or_make(here, &name, missing, rest.is_empty())?;
            if FileType::from_raw_mode(fstat(&next)?.st_mode) != FileType::Symlink {
                trail.push(next);
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let target = PathBuf::from(OsString::from_vec(readlinkat(&next, "", Vec::new())?.into_bytes()));
            if target.is_absolute() {
                trail.clear();
            }
            rest.extend(names(&target));
        }
        let fd = trail.pop().map_or_else(|| rustix::io::fcntl_dupfd_cloexec(&self.0, 0), Ok)?;
        Ok(Found { fd, linked: links > 0 })
    }
}

/// A path's components with the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

fn open_or_make(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    missing: Missing,
    last: bool,
) -> rustix::io::Result<OwnedFd> {
    let open = || openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let kind = match (open(), missing) {
        (Err(Errno::NOENT), Missing::Make(kind)) => kind,
        (result, _) => return result,
    };
    let made = if last && kind == Kind::File {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
        openat(folder, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    } else {
        mkdirat(folder, name, Mode::from_raw_mode(0o755))
    };
    // Somebody else may have made it in the meantime; then that is what is found.
    match made {
        Ok(()) | Err(Errno::EXIST) => open(),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with an outside beside it, and links that try to get there.
    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        fs::create_dir_all(path.join("etc")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(path.join("etc/file"), "").unwrap();
        symlink(folder.path().join("outside"), path.join("absolute")).unwrap();
        symlink("../../../../outside", path.join("etc/relative")).unwrap();
        symlink("/etc", path.join("inside")).unwrap();
        symlink("/new/folder", path.join("dangling")).unwrap();
        symlink("loop", path.join("loop")).unwrap();
        let root = Root::open(&path).unwrap();
        (folder, root)
    }

    /// Where `path` leads, relative to the root's parent folder.
    fn made(path: &str, kind: Kind) -> String {
        let (folder, root) = root();
        let found = root.make(Path::new(path), kind).unwrap();
        let name =
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found.fd))).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("outside")).unwrap().count(), 0, "{path} led out");
        name.strip_prefix(folder.path().canonicalize().unwrap()).unwrap().display().to_string()
    }

    #[test]
    fn a_path_ends_inside_the_root_whatever_links_say() {
        assert_eq!(made("/etc/file", Kind::File), "root/etc/file");
        assert_eq!(made("/../../etc/../../outside", Kind::Folder), "root/outside");
        assert_eq!(made("inside/file", Kind::File), "root/etc/file");
        assert_eq!(made("/etc/relative/x", Kind::File), "root/outside/x");
        assert_eq!(made("/dangling/x/y", Kind::File), "root/new/folder/x/y");
        assert_eq!(made("/dangling", Kind::Folder), "root/new/folder");
        assert_eq!(made("/", Kind::Folder), "root");
        let absolute = made("/absolute/x", Kind::Folder);
        assert!(absolute.starts_with("root/tmp/") && absolute.ends_with("outside/x"), "{absolute}");
    }

    #[test]
    fn what_is_not_there_is_found_missing_and_a_loop_is_an_error() {
        let (_folder, root) = root();
        assert!(root.find(Path::new("/no/such")).unwrap().is_none());
        assert!(root.find(Path::new("/etc/file/below")).unwrap().is_none());
        assert!(root.find(Path::new("/inside/file")).unwrap().is_some());
        assert!(root.find(Path::new("/loop/x")).is_err());
        assert!(root.make(Path::new("/inside"), Kind::Folder).unwrap().linked);
        assert!(!root.make(Path::new("/etc"), Kind::Folder).unwrap().linked);
    }
}
