//! Replaces all files of a volume at once: they live in a directory named by time, `..data` points to it, and what the user sees are links through `..data`.
//!
//! Renaming the link is the moment of the change, so a reader that opened the directory sees the old or the new files, never both.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;

use crate::{Error, Result};

/// Content and permission bits of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) data: Vec<u8>,
    pub(crate) mode: u32,
}

/// Files by their path relative to the volume.
pub(crate) type Payload = BTreeMap<PathBuf, File>;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Writes the payload; false when it was there already. `now` names the directory.
pub(crate) fn write(target: &Path, payload: &Payload, group: Option<u32>, now: Timestamp) -> Result<bool> {
    for path in payload.keys() {
        check_path(path)?;
    }
    fs::create_dir_all(target).map_err(Error::io(format!("create {}", target.display())))?;
    let current = fs::read_link(target.join(DATA)).ok();
    if current.as_ref().is_some_and(|dir| holds(&target.join(dir), payload)) {
        return Ok(false);
    }
    let name = format!("..{}", now.strftime("%Y_%m_%d_%H_%M_%S.%N"));
    let fresh = target.join(&name);
    write_files(&fresh, payload, group)?;
    swap(target, &name)?;
    link_user_visible(target, payload)?;
    if let Some(old) = current.filter(|old| *old != Path::new(&name)) {
        // What cannot be removed now goes with the pod.
        let _ = fs::remove_dir_all(target.join(old));
    }
    Ok(true)
}

fn check_path(path: &Path) -> Result<()> {
    let normal = path.components().all(|c| matches!(c, Component::Normal(_)));
    let hidden = path.to_str().is_none_or(|p| p.starts_with(".."));
    match normal && !hidden && path.components().next().is_some() {
        true => Ok(()),
        false => Err(Error::Invalid(format!("invalid path in volume: {}", path.display()))),
    }
}

/// Whether a directory holds exactly these files.
fn holds(dir: &Path, payload: &Payload) -> bool {
    let same = |(path, file): (&PathBuf, &File)| {
        let full = dir.join(path);
        let mode = fs::metadata(&full).map(|m| m.permissions().mode() & 0o777);
        mode.is_ok_and(|m| m == file.mode & 0o777) && fs::read(&full).is_ok_and(|data| data == file.data)
    };
    payload.iter().all(same) && count_files(dir) == payload.len()
}

fn count_files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let count = |e: fs::DirEntry| if e.path().is_dir() { count_files(&e.path()) } else { 1 };
    entries.map(count).sum()
}

fn write_files(dir: &Path, payload: &Payload, group: Option<u32>) -> Result<()> {
    let doing = |path: &Path| format!("write {}", path.display());
    fs::create_dir_all(dir).map_err(Error::io(doing(dir)))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).map_err(Error::io(doing(dir)))?;
    for (path, file) in payload {
        let full = dir.join(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(Error::io(doing(parent)))?;
        }
        fs::write(&full, &file.data).map_err(Error::io(doing(&full)))?;
        fs::set_permissions(&full, fs::Permissions::from_mode(file.mode)).map_err(Error::io(doing(&full)))?;
        if let Some(group) = group {
            std::os::unix::fs::lchown(&full, None, Some(group)).map_err(Error::io(doing(&full)))?;
        }
    }
    Ok(())
}

fn swap(target: &Path, name: &str) -> Result<()> {
    let doing = || format!("replace {}", target.join(DATA).display());
    let fresh_link = target.join(NEW_DATA);
    let _ = fs::remove_file(&fresh_link);
    symlink(name, &fresh_link).map_err(Error::io(doing()))?;
    fs::rename(&fresh_link, target.join(DATA)).map_err(Error::io(doing()))
}

/// Makes the links that the user sees and removes those whose files are gone.
fn link_user_visible(target: &Path, payload: &Payload) -> Result<()> {
    let tops: BTreeSet<PathBuf> =
        payload.keys().filter_map(|p| p.components().next()).map(|c| PathBuf::from(c.as_os_str())).collect();
    for top in &tops {
        let link = target.join(top);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(top), &link)
                .map_err(Error::io(format!("link {}", link.display())))?;
        }
    }
    for entry in fs::read_dir(target).map_err(Error::io(format!("read {}", target.display())))?.flatten() {
        let name = PathBuf::from(entry.file_name());
        let internal = name.to_str().is_some_and(|n| n.starts_with(".."));
        if !internal && !tops.contains(&name) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}
