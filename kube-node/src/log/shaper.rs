use bytes::BytesMut;
use jiff::Timestamp;

use super::Query;
use super::entry::Entry;

/// Whether more lines are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    More,
    Done,
}

/// Makes what the client sees of what the runtime wrote.
#[derive(Debug)]
pub(super) struct Shaper {
    since: Option<Timestamp>,
    timestamps: bool,
    /// Bytes that may still be sent.
    left: u64,
    /// Whether the next entry begins a line.
    at_start: bool,
}

impl Shaper {
    pub(super) fn new(query: &Query) -> Self {
        let left = query.limit_bytes.unwrap_or(u64::MAX);
        Self { since: query.since, timestamps: query.timestamps, left, at_start: true }
    }

    /// Whether as much as was asked for has been sent.
    pub(super) fn is_finished(&self) -> bool {
        self.left == 0
    }

    /// Adds one entry of the file, with its line feed, to `to` as the query wants it.
    pub(super) fn line(&mut self, entry: &[u8], to: &mut BytesMut) -> Flow {
        let Some(entry) = Entry::parse(entry) else { return Flow::More };
        if self.since.is_some_and(|since| entry.time < since) {
            return Flow::More;
        }
        if self.timestamps && self.at_start {
            self.add(entry.stamp, to);
            self.add(b" ", to);
        }
        self.add(entry.text, to);
        if !entry.is_partial {
            self.add(b"\n", to);
        }
        self.at_start = !entry.is_partial;
        if self.left == 0 { Flow::Done } else { Flow::More }
    }

    fn add(&mut self, bytes: &[u8], to: &mut BytesMut) {
        let fit = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        to.extend_from_slice(bytes.get(..fit).unwrap_or_default());
        self.left -= fit as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &Query, entries: &[&str], expected: &str) {
        let (mut shaper, mut out) = (Shaper::new(query), BytesMut::new());
        for entry in entries {
            if shaper.line(entry.as_bytes(), &mut out) == Flow::Done {
                break;
            }
        }
        assert_eq!(String::from_utf8_lossy(&out), expected, "{query:?}");
    }

    #[test]
    fn lines_are_shaped_as_asked() {
        let entries = [
            "2026-01-01T00:00:00.000000001Z stdout F one\n",
            "2026-01-01T00:00:01Z stdout P tw\n",
            "2026-01-01T00:00:01.5Z stdout F o\n",
            "nonsense\n",
            "2026-01-01T00:00:02Z stderr F  three  words \n",
            "2026-01-01T00:00:03Z stdout F \n",
        ];
        let plain = Query::default();
        check(&plain, &entries, "one\ntwo\n three  words \n\n");
        check(&Query { limit_bytes: Some(6), ..plain.clone() }, &entries, "one\ntw");
        let since = "2026-01-01T00:00:02Z".parse().ok();
        check(&Query { since, ..plain.clone() }, &entries, " three  words \n\n");
        let stamped = "2026-01-01T00:00:00.000000001Z one\n2026-01-01T00:00:01Z two\n";
        check(
            &Query { timestamps: true, limit_bytes: Some(stamped.len() as u64), ..plain },
            &entries,
            stamped,
        );
    }
}
