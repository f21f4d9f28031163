//! A container's last words.

use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::line;

/// What is taken from the end of a log: lines and bytes.
const LOG_LINES: usize = 80;
const LOG_BYTES: u64 = 2048;

/// The content of the termination message file, cut to `limit` bytes, or with an empty file the end of the log, where that is wanted. Blocking.
pub(crate) fn last_words(file: &Path, limit: u64, log: Option<&Path>) -> String {
    let mut bytes = Vec::new();
    if let Ok(opened) = std::fs::File::open(file) {
        // What cannot be read is as good as nothing said.
        let _ = opened.take(limit).read_to_end(&mut bytes);
    }
    match (bytes.is_empty(), log) {
        (true, Some(log)) => log_end(log).unwrap_or_default(),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn log_end(log: &Path) -> Option<String> {
    let mut file = std::fs::File::open(log).ok()?;
    let size = file.metadata().ok()?.len();
    // Every line carries about 40 bytes of its own; twice the limit is enough to fill it.
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_BYTES * 4))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> =
        text.lines().filter_map(|l| line::parse(l.as_bytes()).map(|p| p.text(l))).collect();
    let tail = lines.iter().rev().take(LOG_LINES).rev().copied().collect::<Vec<_>>().join("\n") + "\n";
    let cut = tail.len().saturating_sub(LOG_BYTES as usize);
    let start = (cut..tail.len()).find(|i| tail.is_char_boundary(*i)).unwrap_or(tail.len());
    tail.get(start..).filter(|t| t.len() > 1).map(str::to_owned)
}
