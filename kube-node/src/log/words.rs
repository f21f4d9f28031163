//! A container's last words.

use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use bytes::BytesMut;

use super::Query;
use super::shaper::Shaper;

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
    let entries: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (mut shaper, mut tail) = (Shaper::new(&Query::default()), BytesMut::new());
    for entry in entries.iter().skip(entries.len().saturating_sub(LOG_LINES)) {
        shaper.line(entry, &mut tail);
    }
    let tail = String::from_utf8_lossy(&tail);
    let cut = tail.len().saturating_sub(LOG_BYTES as usize);
    let start = (cut..tail.len()).find(|i| tail.is_char_boundary(*i)).unwrap_or(tail.len());
    tail.get(start..).filter(|t| t.len() > 1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, log: &str, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let (message, log_path) = (dir.path().join("message"), dir.path().join("0.log"));
        std::fs::write(&message, file).unwrap();
        std::fs::write(&log_path, log).unwrap();
        assert_eq!(last_words(&message, 8, Some(&log_path)), expected);
        assert_eq!(last_words(&message, 8, None), file.get(..8).unwrap_or(file));
    }

    #[test]
    fn the_file_speaks_before_the_log() {
        let log = "2026-01-01T00:00:00Z stdout P tw\n2026-01-01T00:00:00Z stdout F o\nnonsense\n2026-01-01T00:00:00Z stderr F x\n";
        check("", log, "two\nx\n");
        check("", "", "");
        check("said", log, "said");
        check("said at length", log, "said at ");
    }

    #[test]
    fn the_end_of_a_log_is_bounded_in_lines_and_bytes() {
        let line = |text: &str| format!("2026-01-01T00:00:00Z stdout F {text}\n");
        let many: String = (0..100).map(|n| line(&n.to_string())).collect();
        let last: String = (20..100).map(|n| format!("{n}\n")).collect();
        check("", &many, &last);
        let long = line(&"\u{e4}".repeat(2000));
        check("", &long, &format!("{}\n", "\u{e4}".repeat(1023)));
    }
}
