use jiff::Timestamp;

/// One entry of a log file: a line or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// When it was written, as the file has it.
    pub(super) stamp: &'a [u8],
    pub(super) time: Timestamp,
    /// The line goes on with the next entry.
    pub(super) is_partial: bool,
    pub(super) text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Parses an entry, with or without its line feed; `None` when it is not in the format.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (stamp, stream, tags, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if !matches!(stream, b"stdout" | b"stderr") {
            return None;
        }
        let time = std::str::from_utf8(stamp).ok()?.parse().ok()?;
        Some(Self { stamp, time, is_partial: tags.split(|b| *b == b':').next() == Some(b"P"), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_format_is_read() {
        let parse = |line: &'static str| Entry::parse(line.as_bytes());
        let read = parse("2026-01-01T00:00:00.5Z stderr P:x a  b\n").unwrap();
        assert_eq!(read.stamp, b"2026-01-01T00:00:00.5Z");
        assert_eq!(
            (read.time.as_millisecond() % 1000, read.is_partial, read.text),
            (500, true, &b"a  b"[..])
        );
        assert!(!parse("2026-01-01T00:00:00Z stdout F ").unwrap().is_partial);
        for other in ["", "x stdout F a", "2026-01-01T00:00:00Z stdin F a", "2026-01-01T00:00:00Z stdout F"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
}
