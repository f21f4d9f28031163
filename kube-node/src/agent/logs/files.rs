//! The files of one log: `0.log`, `0.log.20260101-000000`, `0.log.20251231-235500.gz`. All of this blocks.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;

use crate::{Error, Result};

const COMPRESSED: &str = ".gz";
/// What is not completely compressed yet.
const UNFINISHED: &str = ".tmp";

fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("{doing} {}", path.display()))
}

/// What a log is called once it is rotated: upstream's name.
pub(super) fn rotated(path: &Path, now: Timestamp) -> PathBuf {
    with_suffix(path, &format!(".{}", now.strftime("%Y%m%d-%H%M%S")))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames a log, never onto another one.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    if to.exists() || with_suffix(to, COMPRESSED).exists() {
        return Err(Error::Conflict(format!("{} exists already", to.display())));
    }
    std::fs::rename(from, to).map_err(io("rename", from))
}

/// Removes all but the newest `keep` of the rotated logs, and compresses those.
pub(super) fn make_room(path: &Path, keep: usize) -> Result<()> {
    let mut logs = logs(path)?;
    for unfinished in logs.extract_if(.., |log| ends_with(log, UNFINISHED)) {
        remove(&unfinished)?;
    }
    // Of a log that was compressed but not removed any more, one is enough.
    let all = logs.clone();
    for twice in logs.extract_if(.., |log| all.contains(&with_suffix(log, COMPRESSED))) {
        remove(&twice)?;
    }
    // The time in their names puts them in order.
    logs.sort();
    let keep_from = logs.len().saturating_sub(keep);
    for old in logs.drain(..keep_from) {
        remove(&old)?;
    }
    logs.iter().filter(|log| !ends_with(log, COMPRESSED)).try_for_each(|log| compress(log))
}

/// The rotated logs of `path`, in no order, finished or not.
fn logs(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entries = std::fs::read_dir(folder).map_err(io("read", folder))?;
    let is_rotated = |entry: &std::fs::DirEntry| {
        let file = entry.file_name().to_string_lossy().into_owned();
        file.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.')).is_some_and(is_suffix)
    };
    Ok(entries.flatten().filter(is_rotated).map(|entry| entry.path()).collect())
}

/// Whether a name ends as rotated logs do; others are somebody else's.
fn is_suffix(suffix: &str) -> bool {
    let time = suffix.strip_suffix(UNFINISHED).unwrap_or(suffix);
    let time = time.strip_suffix(COMPRESSED).unwrap_or(time);
    let digit = |(at, byte): (usize, u8)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() };
    time.len() == 15 && time.bytes().enumerate().all(digit)
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes())
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(io("remove", path))
}

fn compress(path: &Path) -> Result<()> {
    let (target, fresh) =
        (with_suffix(path, COMPRESSED), with_suffix(path, &format!("{COMPRESSED}{UNFINISHED}")));
    let work = || {
        let mut from = BufReader::new(File::open(path)?);
        let mut to = GzEncoder::new(BufWriter::new(File::create(&fresh)?), Compression::default());
        std::io::copy(&mut from, &mut to)?;
        to.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        std::fs::rename(&fresh, &target)
    };
    work().map_err(io("compress", path))?;
    remove(path)
}
