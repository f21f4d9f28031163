//! One line of a log in the CRI format: `TIMESTAMP STREAM TAGS CONTENT`.

use jiff::Timestamp;

/// Where the parts of a line are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) at: Timestamp,
    pub(super) stderr: bool,
    /// The line goes on with the next one.
    pub(super) partial: bool,
    /// Where the content begins.
    pub(super) content: usize,
}

impl Parsed {
    /// The content of the line that this was parsed from.
    pub(super) fn text<'a>(&self, line: &'a str) -> &'a str {
        line.get(self.content..).unwrap_or_default()
    }
}

/// Parses a line without its newline; `None` when it is not in the format.
pub(super) fn parse(line: &[u8]) -> Option<Parsed> {
    let mut spaces = line.iter().enumerate().filter(|(_, b)| **b == b' ').map(|(i, _)| i);
    let (first, second) = (spaces.next()?, spaces.next()?);
    let third = spaces.next().unwrap_or(line.len());
    let at = std::str::from_utf8(line.get(..first)?).ok()?.parse().ok()?;
    let stderr = match line.get(first + 1..second)? {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let tags = line.get(second + 1..third)?;
    let partial = tags.split(|b| *b == b':').next()? == b"P";
    Some(Parsed { at, stderr, partial, content: (third + 1).min(line.len()) })
}
