//! Unpacking one layer into a folder, in the form overlayfs wants.
//!
//! A layer is hostile input: its paths are resolved by the kernel with the folder as their root (`openat2`, `RESOLVE_IN_ROOT`), so neither
//! `..` nor a symbolic link leads out of it. Whiteouts become overlayfs's own: a 0:0 character device hides a name, the attribute
//! `trusted.overlay.opaque` hides everything below a folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fchmod, fchown, fsetxattr, linkat, makedev, mkdirat, mknodat, open, openat2, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};

/// The most bytes a layer may unpack to.
const MAX_BYTES: u64 = 64 << 30;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Counts and hashes what is read through it.
pub(super) struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// Reads to the end and returns the digest (`sha256:…`) and the number of bytes.
    pub(super) fn finish(mut self) -> io::Result<(String, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((digest_text(&self.hasher.finalize()), self.bytes))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        if self.bytes > MAX_BYTES {
            return Err(io::Error::other("the layer is too large"));
        }
        Ok(n)
    }
}

pub(super) fn digest_text(hash: &[u8]) -> String {
    hash.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// What unpacking found.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The digest of the uncompressed archive.
    pub(super) diff_id: String,
    /// The digest of the bytes as they were read.
    pub(super) digest: String,
    /// The uncompressed archive's size.
    pub(super) bytes: u64,
}

/// Unpacks a layer, gzip-compressed or not, into the existing empty folder `target`.
pub(super) fn unpack(source: impl Read, target: &Path) -> io::Result<Unpacked> {
    let mut source = BufReader::with_capacity(128 << 10, Hashing::new(source));
    let magic = io::BufRead::fill_buf(&mut source)?.get(..4).unwrap_or_default().to_vec();
    let (diff_id, bytes) = if magic.starts_with(&[0x1f, 0x8b]) {
        unpack_tar(MultiGzDecoder::new(&mut source), target)?
    } else if magic == [0x28, 0xb5, 0x2f, 0xfd] {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "layers compressed with zstd are not supported",
        ));
    } else {
        unpack_tar(&mut source, target)?
    };
    // What follows the archive (padding) counts for the digest but not for the content.
    io::copy(&mut source, &mut io::sink())?;
    let (digest, _) = source.into_inner().finish()?;
    Ok(Unpacked { diff_id, digest, bytes })
}

fn unpack_tar(source: impl Read, target: &Path) -> io::Result<(String, u64)> {
    let mut archive = Archive::new(Hashing::new(source));
    let mut layer = Layer::open(target)?;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        layer
            .entry(&mut entry)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", name.display())))?;
    }
    layer.finish()?;
    archive.into_inner().finish()
}

struct Layer {
    root: OwnedFd,
    /// The last parent used and its path: archives list folder by folder.
    parent: (PathBuf, OwnedFd),
    /// Modification times of folders, set last because filling a folder changes them.
    folders: Vec<(PathBuf, u64)>,
}

impl Layer {
    fn open(target: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(target, flags, Mode::empty())?;
        let parent = (PathBuf::new(), open(target, flags, Mode::empty())?);
        Ok(Self { root, parent, folders: Vec::new() })
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// Makes `path`'s folder, where it is missing, the current parent.
    fn enter(&mut self, folder: &Path) -> io::Result<()> {
        if self.parent.0 == folder {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = match self.resolve(folder, flags) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => {
                self.make_folders(folder)?;
                self.resolve(folder, flags)?
            }
            Err(error) => return Err(error.into()),
        };
        self.parent = (folder.to_owned(), fd);
        Ok(())
    }

    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        let mut done = PathBuf::new();
        for part in folder {
            let parent = self.resolve(&done, OFlags::PATH | OFlags::DIRECTORY)?;
            match mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => done.push(part),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let path = clean(&entry.path()?)?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            return self.folder_attributes(&path, entry);
        };
        self.enter(path.parent().unwrap_or(Path::new("")))?;
        if name.as_bytes() == OPAQUE {
            let folder = self.resolve(&self.parent.0, OFlags::RDONLY | OFlags::DIRECTORY)?;
            return Ok(fsetxattr(&folder, c"trusted.overlay.opaque", b"y", XattrFlags::empty())?);
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            return self.whiteout(OsStr::from_bytes(hidden));
        }
        self.make(entry, &path, &name)
    }

    fn whiteout(&self, name: &OsStr) -> io::Result<()> {
        // In a well-formed layer nothing else has this name.
        let _absent = unlinkat(&self.parent.1, name, AtFlags::empty());
        Ok(mknodat(&self.parent.1, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))?)
    }

    fn make(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path, name: &OsStr) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let parent = &self.parent.1;
        if kind == EntryType::Directory {
            match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            return self.folder_attributes(path, entry);
        }
        // A later entry replaces an earlier one of the same name; a folder that is in the way makes the archive fail below.
        let _absent = unlinkat(parent, name, AtFlags::empty());
        let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return self.file(entry, name, mode);
            }
            EntryType::Link => return self.link(entry, name),
            EntryType::Symlink => symlinkat(link_target(entry)?.as_path(), parent, name)?,
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                mknodat(parent, name, device_kind(kind), mode, device(entry.header())?)?;
            }
            _ => return Ok(()),
        }
        let (uid, gid) = owner(entry.header())?;
        chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(utimensat(parent, name, &times(entry.header().mtime()?), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn file(&self, entry: &mut Entry<'_, impl Read>, name: &OsStr, mode: Mode) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let mut file = File::from(openat2(&self.parent.1, name, flags, Mode::from_raw_mode(0o600), resolve)?);
        io::copy(entry, &mut file)?;
        let (uid, gid) = owner(entry.header())?;
        fchown(&file, Some(uid), Some(gid))?;
        // After the owner, because changing the owner clears the set-user-id bit.
        fchmod(&file, mode)?;
        set_attributes(&file, entry)?;
        Ok(rustix::fs::futimens(&file, &times(entry.header().mtime()?))?)
    }

    fn link(&self, entry: &Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let target = clean(&link_target(entry)?)?;
        let target_name = target.file_name().ok_or(io::ErrorKind::InvalidData)?;
        let folder =
            self.resolve(target.parent().unwrap_or(Path::new("")), OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(linkat(&folder, target_name, &self.parent.1, name, AtFlags::empty())?)
    }

    fn folder_attributes(&mut self, path: &Path, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let folder = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let (uid, gid) = owner(entry.header())?;
        fchown(&folder, Some(uid), Some(gid))?;
        fchmod(&folder, Mode::from_raw_mode(entry.header().mode()? & 0o7777))?;
        set_attributes(&folder, entry)?;
        self.folders.push((path.to_owned(), entry.header().mtime()?));
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        for (path, mtime) in self.folders.iter().rev() {
            let folder = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            rustix::fs::futimens(&folder, &times(*mtime))?;
        }
        Ok(())
    }
}

/// A path relative to the layer's root. Leading slashes and `.` are dropped; `..` is refused, no honest layer has it.
fn clean(path: &Path) -> io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::ParentDir => return Err(io::Error::new(io::ErrorKind::InvalidData, "path with `..`")),
            _ => {}
        }
    }
    Ok(out)
}

fn link_target(entry: &Entry<'_, impl Read>) -> io::Result<PathBuf> {
    Ok(entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?.into_owned())
}

fn owner(header: &tar::Header) -> io::Result<(Uid, Gid)> {
    let number = |value: u64| u32::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    Ok((Uid::from_raw(number(header.uid()?)?), Gid::from_raw(number(header.gid()?)?)))
}

fn device_kind(kind: EntryType) -> FileType {
    match kind {
        EntryType::Block => FileType::BlockDevice,
        EntryType::Fifo => FileType::Fifo,
        _ => FileType::CharacterDevice,
    }
}

fn device(header: &tar::Header) -> io::Result<u64> {
    Ok(makedev(header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
}

fn times(mtime: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets the extended attributes of the entry's PAX header. One that this system does not take is left out, as containerd does,
/// except capabilities of files, without which a program would not work.
fn set_attributes(file: &impl std::os::fd::AsFd, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(()) };
    for extension in extensions.flatten() {
        let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) else {
            continue;
        };
        if let Err(error) = fsetxattr(file, name, extension.value_bytes(), XattrFlags::empty())
            && name == "security.capability"
        {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
