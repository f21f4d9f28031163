//! A container's log file in the CRI format: `<RFC 3339 with nanoseconds> <stdout|stderr> <P|F> <text>`, one line each.
//!
//! `P` marks a piece of a longer line, `F` its end (KEP-1598 and the kubelet's `cri_stats` readers expect exactly this).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Which stream a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    limit: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl LogFile {
    /// Opens `path` for appending, creating it and its folders; a line longer than `limit` bytes is split.
    pub(super) fn open(path: &Path, limit: usize) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self { path: path.to_owned(), file, limit, stdout: Vec::new(), stderr: Vec::new() })
    }

    /// Closes the file and opens the path again, after somebody renamed it.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    /// Takes a piece of output; whole lines are written at once, the rest is kept until its line ends.
    pub(super) fn write(&mut self, stream: Stream, data: &[u8], now: Timestamp) -> io::Result<()> {
        let buffer = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        buffer.extend_from_slice(data);
        let mut out = Vec::new();
        let used = format_lines(&mut out, stream, buffer, self.limit, now);
        buffer.drain(..used);
        self.file.write_all(&out)
    }

    /// Writes an unfinished last line, marked as a piece.
    pub(super) fn finish(&mut self, stream: Stream, now: Timestamp) -> io::Result<()> {
        let rest = std::mem::take(match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        });
        if rest.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        line(&mut out, stream, b'P', &rest, now);
        self.file.write_all(&out)
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Appends the log lines for what `buffer` holds completely; returns how many of its bytes that used.
fn format_lines(out: &mut Vec<u8>, stream: Stream, buffer: &[u8], limit: usize, now: Timestamp) -> usize {
    let mut used = 0;
    while let Some(rest) = buffer.get(used..) {
        let newline = rest.iter().take(limit + 1).position(|byte| *byte == b'\n');
        match newline {
            Some(at) => {
                line(out, stream, b'F', rest.get(..at).unwrap_or_default(), now);
                used += at + 1;
            }
            None if rest.len() > limit => {
                line(out, stream, b'P', rest.get(..limit).unwrap_or_default(), now);
                used += limit;
            }
            None => break,
        }
    }
    used
}

fn line(out: &mut Vec<u8>, stream: Stream, tag: u8, text: &[u8], now: Timestamp) {
    out.extend_from_slice(format!("{now:.9} {} ", stream.name()).as_bytes());
    out.extend_from_slice(&[tag, b' ']);
    out.extend_from_slice(text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[&[u8]], limit: usize, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pod/0.log");
        let mut log = LogFile::open(&path, limit).unwrap();
        for piece in input {
            log.write(Stream::Stdout, piece, Timestamp::UNIX_EPOCH).unwrap();
        }
        log.finish(Stream::Stdout, Timestamp::UNIX_EPOCH).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.replace("1970-01-01T00:00:00.000000000Z stdout ", ""), expected);
    }

    #[test]
    fn lines_are_written_when_they_end() {
        check(&[b"hello\nwor", b"ld\n"], 100, "F hello\nF world\n");
    }

    #[test]
    fn an_unfinished_last_line_is_a_piece() {
        check(&[b"a\nb"], 100, "F a\nP b\n");
    }

    #[test]
    fn a_long_line_is_split_into_pieces() {
        check(&[b"abcdefgh\n"], 3, "P abc\nP def\nF gh\n");
        check(&[b"abc\n"], 3, "F abc\n");
    }

    #[test]
    fn an_empty_line_is_a_line() {
        check(&[b"\n\n"], 3, "F \nF \n");
    }

    #[test]
    fn a_reopened_log_goes_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut log = LogFile::open(&path, 100).unwrap();
        log.write(Stream::Stderr, b"one\n", Timestamp::UNIX_EPOCH).unwrap();
        std::fs::rename(&path, folder.path().join("0.log.1")).unwrap();
        log.reopen().unwrap();
        log.write(Stream::Stderr, b"two\n", Timestamp::UNIX_EPOCH).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("stderr F two\n"));
    }
}
