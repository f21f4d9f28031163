//! Which forwarded proposals a leader has taken, so that none is taken twice however often the network repeats it.

use std::collections::{BTreeMap, BTreeSet};

use super::command::RequestId;

/// Numbers remembered per member one by one; older ones all count as taken.
const REMEMBERED: usize = 4096;

/// The proposals taken in one term. Those of another term are not taken at all, so nothing else has to be remembered.
#[derive(Debug, Default)]
pub(super) struct Window {
    term: u64,
    origins: BTreeMap<(u64, u64), Origin>,
}

/// What was taken of one life of one member's process.
#[derive(Debug, Default)]
struct Origin {
    /// Everything up to here counts as taken.
    floor: u64,
    taken: BTreeSet<u64>,
}

impl Window {
    /// Whether the proposal was taken in this term, or may have been.
    pub(super) fn has(&self, term: u64, request: RequestId) -> bool {
        let origin = self.origins.get(&(request.member, request.nonce));
        self.term == term
            && origin.is_some_and(|origin| {
                request.number <= origin.floor || origin.taken.contains(&request.number)
            })
    }

    /// Whether it is known of this term what was taken in it; of earlier ones it was forgotten.
    pub(super) fn knows(&self, term: u64) -> bool {
        term >= self.term
    }

    pub(super) fn add(&mut self, term: u64, request: RequestId) {
        if self.term != term {
            *self = Self { term, ..Self::default() };
        }
        let origin = self.origins.entry((request.member, request.nonce)).or_default();
        origin.taken.insert(request.number);
        if origin.taken.len() > REMEMBERED
            && let Some(first) = origin.taken.pop_first()
        {
            origin.floor = first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(nonce: u64, number: u64) -> RequestId {
        RequestId { member: 1, nonce, number }
    }

    #[test]
    fn nothing_is_taken_twice_in_a_term() {
        let mut window = Window::default();
        assert!(!window.has(5, request(7, 1)));
        window.add(5, request(7, 1));
        assert!(window.has(5, request(7, 1)));
        assert!(!window.has(5, request(7, 2)));
        for number in 1..=REMEMBERED as u64 + 10 {
            window.add(5, request(8, number));
        }
        assert!(window.has(5, request(7, 1)));
        assert!(window.has(5, request(8, 1)), "what is forgotten counts as taken");
        assert!(!window.has(5, request(8, REMEMBERED as u64 + 11)));
        window.add(6, request(8, 1));
        assert!(!window.has(6, request(7, 1)), "a new term begins anew");
        assert!(window.knows(6) && !window.knows(5));
    }
}
