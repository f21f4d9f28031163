//! Sets of keys, and whether some together cover another.

use bytes::Bytes;

/// All keys from `start` to before `end`, or without an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    start: Bytes,
    end: Option<Bytes>,
}

impl Span {
    /// etcd's way to name a set of keys: no end is one key, an end of one zero byte is open.
    pub(super) fn new(key: &Bytes, range_end: &Bytes) -> Self {
        let end = match range_end.as_ref() {
            [] => Some([key.as_ref(), &[0]].concat().into()),
            [0] => None,
            _ => Some(range_end.clone()),
        };
        Self { start: key.clone(), end }
    }

    /// Whether the sets together have every key of this one. One that ends before it starts has its start.
    pub(super) fn is_covered(&self, mut by: Vec<Self>) -> bool {
        by.sort();
        let mut reached = self.start.clone();
        for span in by {
            if span.start > reached {
                return false;
            }
            match span.end {
                None => return true,
                Some(end) if end > reached => reached = end,
                Some(_) => continue,
            }
            if self.end.as_ref().is_some_and(|end| reached >= *end) && reached > self.start {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(key: &'static str, end: &'static str) -> Span {
        Span::new(&Bytes::from(key), &Bytes::from(end))
    }

    #[test]
    fn only_what_is_allowed_from_end_to_end_is_covered() {
        let allowed = [span("a", "c"), span("c", "e"), span("k", ""), span("x", "\0")];
        for (key, end, covered) in [
            ("a", "", true),
            ("b", "d", true),
            ("a", "e", true),
            ("a", "e\0", false),
            ("e", "", false),
            ("", "b", false),
            ("k", "", true),
            ("k", "l", false),
            ("k\0", "", false),
            ("x", "\0", true),
            ("y", "z", true),
            ("a", "\0", false),
            ("b", "a", true),
            ("f", "a", false),
            ("\0", "\0", false),
        ] {
            assert_eq!(span(key, end).is_covered(allowed.to_vec()), covered, "{key:?} to {end:?}");
        }
        assert!(!span("a", "").is_covered(Vec::new()));
    }
}
