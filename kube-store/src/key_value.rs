//! Keys, values and sets of keys.

use bytes::Bytes;

/// Number of a committed transaction; an empty store is at 1, every transaction that changes something adds 1.
pub type Revision = i64;

/// One key with its value and history counters. Cloning copies no bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, never empty.
    pub key: Bytes,
    /// The value; empty in answers that were asked for keys only, and for deleted keys.
    pub value: Bytes,
    /// Revision of the put that created the key.
    pub create_revision: Revision,
    /// Revision of the last change.
    pub mod_revision: Revision,
    /// Puts since the key was created, from 1; 0 in delete events.
    pub version: i64,
    /// Lease the key is bound to, 0 for none.
    pub lease: i64,
}

impl KeyValue {
    /// Bytes of key and value.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// A set of keys. Keys are ordered as byte strings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyRange {
    /// Exactly this key.
    Key(Bytes),
    /// All keys that start with these bytes; empty means all keys.
    Prefix(Bytes),
    /// Keys from the first, included, to the second, excluded.
    Range(Bytes, Bytes),
    /// This key and all after it.
    From(Bytes),
    /// Every key.
    All,
}

impl KeyRange {
    /// Whether the set holds `key`.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(k) => k == key,
            Self::Prefix(p) => key.starts_with(p),
            Self::Range(start, end) => key >= start.as_ref() && key < end.as_ref(),
            Self::From(start) => key >= start.as_ref(),
            Self::All => true,
        }
    }

    /// Smallest key the set can hold.
    pub fn start(&self) -> Bytes {
        match self {
            Self::Key(k) | Self::Prefix(k) | Self::Range(k, _) | Self::From(k) => k.clone(),
            Self::All => Bytes::new(),
        }
    }

    /// First key after the set, `None` when it is open.
    pub fn end(&self) -> Option<Bytes> {
        match self {
            Self::Key(k) => Some([k.as_ref(), &[0]].concat().into()),
            Self::Prefix(p) => prefix_end(p),
            Self::Range(_, end) => Some(end.clone()),
            Self::From(_) | Self::All => None,
        }
    }

    /// Bytes of the keys that describe the set.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Key(k) | Self::Prefix(k) | Self::From(k) => k.len(),
            Self::Range(a, b) => a.len() + b.len(),
            Self::All => 0,
        }
    }

    /// Whether the set is a single, empty key.
    pub(crate) fn is_empty_key(&self) -> bool {
        matches!(self, Self::Key(k) if k.is_empty())
    }
}

/// First byte string after all that start with `prefix`; `None` when there is none.
fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|b| *b != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_the_next_one_starts() {
        for (prefix, end) in [("a", Some("b")), ("/pods/", Some("/pods0")), ("", None)] {
            assert_eq!(prefix_end(prefix.as_bytes()), end.map(Bytes::from), "{prefix}");
        }
        assert_eq!(prefix_end(&[1, 0xff]), Some(Bytes::from_static(&[2])));
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
    }

    #[test]
    fn bounds_agree_with_contains() {
        let ranges = [
            KeyRange::Key("b".into()),
            KeyRange::Prefix("b".into()),
            KeyRange::Range("aa".into(), "c".into()),
            KeyRange::From("b".into()),
            KeyRange::All,
        ];
        for range in ranges {
            for key in ["a", "aa", "ab", "b", "b\0", "ba", "c", "ca"] {
                let bounded =
                    key.as_bytes() >= range.start() && range.end().is_none_or(|e| key.as_bytes() < e);
                assert_eq!(range.contains(key.as_bytes()), bounded, "{range:?} {key}");
            }
        }
    }
}
