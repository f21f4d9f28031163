//! Values that were read when a log was opened, until they are asked for.

use bytes::Bytes;

use super::directory::Place;

/// The values of the newest entries, in the order of the log. A value that was replaced is let go at once, so that a log with much
/// garbage takes no more memory than what is needed of it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    values: Vec<(u32, u32, Bytes)>,
    /// The one after that taken last, which most probably is taken next.
    next: usize,
    left: usize,
}

impl Kept {
    /// Adds the value at a place behind all others.
    pub(super) fn push(&mut self, place: Place, value: Bytes) {
        if !value.is_empty() {
            self.values.push((place.segment, place.offset, value));
            self.left += 1;
        }
    }

    /// Gives a value away; `None` if it is not there.
    pub(super) fn take(&mut self, place: Place) -> Option<Bytes> {
        if place.length == 0 {
            return Some(Bytes::new());
        }
        let wanted = (place.segment, place.offset);
        let is_next = self.values.get(self.next).is_some_and(|(segment, at, _)| (*segment, *at) == wanted);
        let at = match is_next {
            true => self.next,
            false => self.values.binary_search_by_key(&wanted, |(segment, at, _)| (*segment, *at)).ok()?,
        };
        self.next = at + 1;
        let value = self.values.get_mut(at).map(|(_, _, value)| std::mem::take(value));
        let value = value.filter(|value| !value.is_empty())?;
        self.left -= 1;
        Some(value)
    }

    /// Whether all were given away.
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }
}

/// Copies values out of a buffer.
#[derive(Debug, Default)]
pub(super) struct Copier {
    /// Bytes that can be allocated without asking the kernel.
    room: usize,
}

impl Copier {
    /// More than this is not taken off the end of the heap.
    const ROOM: usize = 120 << 10;

    /// A copy in memory of its own.
    ///
    /// On any thread but the first, the allocator of the C library asks the kernel for each page at the end of a heap, once per
    /// value, which takes as long as reading it. A larger block that is taken and given back makes that once for many.
    pub(super) fn copy(&mut self, value: &[u8]) -> Bytes {
        if self.room < value.len() {
            drop(std::hint::black_box(Vec::<u8>::with_capacity(Self::ROOM)));
            self.room = Self::ROOM;
        }
        self.room = self.room.saturating_sub(value.len());
        Bytes::copy_from_slice(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_given_once() {
        let place = |segment, offset, length| Place { segment, offset, length };
        let mut kept = Kept::default();
        for (n, byte) in (0..4).zip(b"abcd") {
            kept.push(place(n / 2, n * 8, 1), Bytes::copy_from_slice(&[*byte]));
        }
        kept.push(place(2, 0, 0), Bytes::new());
        assert_eq!(kept.take(place(1, 16, 1)).unwrap(), "c");
        assert_eq!(kept.take(place(1, 24, 1)).unwrap(), "d");
        assert_eq!(kept.take(place(1, 24, 1)), None);
        assert_eq!(kept.take(place(0, 16, 1)), None, "there is none");
        assert_eq!(kept.take(place(2, 0, 0)).unwrap(), "", "nothing needs no memory");
        assert_eq!(kept.take(place(0, 0, 1)).unwrap(), "a");
        assert!(!kept.is_empty());
        assert_eq!(kept.take(place(0, 8, 1)).unwrap(), "b");
        assert!(kept.is_empty());
    }
}
