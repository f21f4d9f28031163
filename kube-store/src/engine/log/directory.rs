//! Where the newest value of each key is.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::frame::ENTRY;

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// Keys with the places of their values, and how much of each segment is still needed. A key of up to 22 bytes, as all
/// frequent ones are, takes 36 bytes in a node of the map, so 36 to 70 in all.
#[derive(Debug, Default)]
pub(super) struct Directory {
    places: BTreeMap<Key, Place>,
    live: BTreeMap<u32, u64>,
    bytes: u64,
}

impl Directory {
    /// Notes a new value, or with `None` that there is none; answers where the one before was.
    pub(super) fn set(&mut self, key: &[u8], place: Option<Place>) -> Option<Place> {
        let old = match place {
            Some(place) => self.places.insert(Key::new(key), place),
            None => self.places.remove(key),
        };
        self.count(key, old, place);
        old
    }

    /// Counts what is needed after a change.
    fn count(&mut self, key: &[u8], old: Option<Place>, new: Option<Place>) {
        if let Some(new) = new {
            let cost = cost(key, new);
            self.bytes += cost;
            *self.live.entry(new.segment).or_default() += cost;
        }
        let Some(old) = old else { return };
        let cost = cost(key, old);
        self.bytes -= cost;
        if let Some(live) = self.live.get_mut(&old.segment) {
            *live -= cost;
            if *live == 0 {
                self.live.remove(&old.segment);
            }
        }
    }

    /// Whether the newest value of `key` is there.
    pub(super) fn is_at(&self, key: &[u8], place: Place) -> bool {
        self.places.get(key) == Some(&place)
    }

    /// Keys that start with `prefix`, in order.
    pub(super) fn below<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Place)> {
        let from = self.places.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|(key, place)| (key.borrow(), *place))
            .take_while(move |(key, _): &(&[u8], Place)| key.starts_with(prefix))
    }

    /// The first segment that has a value.
    pub(super) fn first(&self) -> Option<u32> {
        self.live.keys().next().copied()
    }

    /// Bytes that all entries take in the log.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A directory being made from a log, in which most keys come in order: numbers of revisions and of entries rise. Those that
/// come after all others with the same first byte wait, and are put into the map at once: that takes less time than one
/// after the other, and fills its nodes.
#[derive(Debug)]
pub(super) struct Builder {
    directory: Directory,
    /// By the first byte. A key that is here is not in the directory.
    rising: Vec<Vec<(Key, Option<Place>)>>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { directory: Directory::default(), rising: (0..=u8::MAX).map(|_| Vec::new()).collect() }
    }

    /// As [`Directory::set`].
    pub(super) fn set(&mut self, key: &[u8], place: Option<Place>) -> Option<Place> {
        let Some(rising) = key.first().and_then(|first| self.rising.get_mut(usize::from(*first))) else {
            return self.directory.set(key, place);
        };
        let is_behind = rising.last().is_none_or(|(last, _)| Borrow::<[u8]>::borrow(last) < key);
        if is_behind {
            if place.is_some() {
                rising.push((Key::new(key), place));
                self.directory.count(key, None, place);
            }
            return None;
        }
        let found = rising.binary_search_by(|(known, _)| Borrow::<[u8]>::borrow(known).cmp(key));
        match found.ok().and_then(|at| rising.get_mut(at)) {
            Some((_, known)) => {
                let old = std::mem::replace(known, place);
                self.directory.count(key, old, place);
                old
            }
            None => self.directory.set(key, place),
        }
    }

    pub(super) fn finish(self) -> Directory {
        let Self { mut directory, rising } = self;
        let rising = rising.into_iter().flatten().filter_map(|(key, place)| Some((key, place?)));
        directory.places.append(&mut rising.collect());
        directory
    }
}

fn cost(key: &[u8], place: Place) -> u64 {
    (ENTRY + key.len()) as u64 + u64::from(place.length)
}

/// A key, in place when it is short: a map of boxes would take twice the memory and an allocation for each key.
#[derive(Debug)]
enum Key {
    Short(u8, [u8; Self::SHORT]),
    Long(Box<[u8]>),
}

impl Key {
    const SHORT: usize = 22;

    fn new(key: &[u8]) -> Self {
        let mut short = [0; Self::SHORT];
        match short.get_mut(..key.len()) {
            // No longer than the array, so the length fits.
            Some(place) => {
                place.copy_from_slice(key);
                Self::Short(key.len() as u8, short)
            }
            None => Self::Long(key.into()),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (a, b): (&[u8], &[u8]) = (self.borrow(), other.borrow());
        a.cmp(b)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_place_takes_as_much_as_said() {
        assert_eq!(size_of::<Key>() + size_of::<Place>(), 36);
    }

    #[test]
    fn made_at_once_it_is_the_same() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut one, mut all) = (Directory::default(), Builder::new());
        for n in 0..2000u32 {
            // Mostly rising, with what was there before changed and deleted in between.
            let number = if rng.u8(..) < 160 { n } else { rng.u32(..=n) };
            let key = [&b"ev"[..], b"e"][rng.usize(..2)].iter().copied().chain(number.to_be_bytes());
            let key: Vec<u8> = if rng.u8(..) < 5 { Vec::new() } else { key.collect() };
            let place = Place { segment: n / 500, offset: n * 8, length: n };
            let place = (rng.u8(..) < 200).then_some(place);
            assert_eq!(one.set(&key, place), all.set(&key, place));
        }
        let all = all.finish();
        assert!(one.places == all.places && one.places.len() > 500);
        assert_eq!((&one.live, one.bytes), (&all.live, all.bytes));
    }

    #[test]
    fn counts_what_is_needed() {
        let mut directory = Directory::default();
        let long = [7; 40];
        let place = |segment, offset| Place { segment, offset, length: 100 };
        directory.set(b"a", Some(place(1, 64)));
        directory.set(&long, Some(place(1, 200)));
        directory.set(b"ab", Some(place(2, 64)));
        assert_eq!((directory.first(), directory.bytes()), (Some(1), 3 * 108 + 1 + 40 + 2));
        let keys: Vec<_> = directory.below(b"a").map(|(key, _)| key.to_vec()).collect();
        assert_eq!(keys, [b"a".to_vec(), b"ab".to_vec()]);
        directory.set(b"a", Some(place(2, 300)));
        directory.set(&long, None);
        directory.set(b"unknown", None);
        assert_eq!((directory.first(), directory.bytes()), (Some(2), 2 * 108 + 1 + 2));
        assert!(directory.is_at(b"a", place(2, 300)) && !directory.is_at(b"a", place(1, 64)));
    }
}
