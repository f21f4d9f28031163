//! Reading a range in steps, so that a long one does not hold the lock.

use std::collections::VecDeque;

use bytes::Bytes;

use super::State;
use crate::{KeyValue, RangeContent, RangeRequest, RangeResponse, Result, Revision};

/// A range being read at one revision.
#[derive(Debug)]
pub(crate) struct Scan {
    request: RangeRequest,
    at: Revision,
    next: Bytes,
    end: Option<Bytes>,
    /// More keys than this need not be collected.
    enough: usize,
    kvs: Vec<KeyValue>,
    count: u64,
    /// How many keys there are in all, if that is known without looking at them.
    known: Option<u64>,
    current: Revision,
}

/// How many keys were left after the pages that were read last. A page tells how many keys its set has, and without this
/// reading all pages of a set would count all keys of it as often as there are pages. What was counted at a revision stays true.
#[derive(Debug, Default)]
pub(crate) struct Counts(VecDeque<Rest>);

/// What comes after one page.
#[derive(Debug)]
struct Rest {
    at: Revision,
    end: Option<Bytes>,
    /// The page's last key, and the one after it.
    between: [Bytes; 2],
    count: u64,
}

impl Counts {
    /// Pages that are remembered.
    const PAGES: usize = 64;

    /// The number of keys from `start` to `end`.
    fn find(&self, at: Revision, start: &Bytes, end: Option<&Bytes>) -> Option<u64> {
        let is_it = |rest: &&Rest| {
            let [last, next] = &rest.between;
            rest.at == at && last < start && start <= next && rest.end.as_ref() == end
        };
        self.0.iter().rev().find(is_it).map(|rest| rest.count)
    }

    fn add(&mut self, rest: Rest) {
        if self.0.len() >= Self::PAGES {
            self.0.pop_front();
        }
        self.0.push_back(rest);
    }
}

impl Scan {
    /// Starts reading what is visible when `current` is the newest revision that may be read.
    pub(crate) fn new(state: &State, request: RangeRequest, current: Revision) -> Result<Self> {
        let at = request.revision().unwrap_or(current);
        state.check_revision(at, current)?;
        let enough = match request.sort {
            None if request.limit > 0 => request.limit.saturating_add(1),
            _ => usize::MAX,
        };
        let (next, end) = (request.range.start(), request.range.end());
        Ok(Self { request, at, next, end, enough, kvs: Vec::new(), count: 0, known: None, current })
    }

    /// Looks whether it is known how many keys there are.
    pub(crate) fn recall(&mut self, counts: &Counts) {
        if self.is_page() {
            self.known = counts.find(self.at, &self.next, self.end.as_ref());
        }
    }

    /// Remembers how many keys come after these.
    pub(crate) fn remember(&self, counts: &mut Counts) {
        let limit = self.request.limit;
        if self.is_page()
            && let Some([last, next]) = limit.checked_sub(1).and_then(|last| self.kvs.get(last..last + 2))
            && let Some(count) = self.count().checked_sub(limit as u64)
        {
            let between = [last.key.clone(), next.key.clone()];
            counts.add(Rest { at: self.at, end: self.end.clone(), between, count });
        }
    }

    /// Whether the keys that are collected are the first of those that are counted.
    fn is_page(&self) -> bool {
        let RangeRequest { min_mod_revision, max_mod_revision, .. } = self.request;
        let RangeRequest { min_create_revision, max_create_revision, .. } = self.request;
        self.enough < usize::MAX
            && self.request.content != RangeContent::CountOnly
            && [min_mod_revision, max_mod_revision, min_create_revision, max_create_revision] == [0; 4]
    }

    fn count(&self) -> u64 {
        self.known.unwrap_or(self.count)
    }

    /// Visits up to `budget` keys; answers whether the range is done. Fails when compaction overtook it.
    pub(crate) fn step(&mut self, state: &State, budget: usize) -> Result<bool> {
        state.check_revision(self.at, self.at)?;
        for (visited, (key, history)) in state.histories_between(&self.next, self.end.as_ref()).enumerate() {
            if self.known.is_some() && self.kvs.len() >= self.enough {
                break;
            }
            if visited == budget {
                self.next = key.clone();
                return Ok(false);
            }
            if let Some(kv) = history.at(self.at) {
                self.count += 1;
                self.collect(kv);
            }
        }
        Ok(true)
    }

    fn collect(&mut self, kv: &KeyValue) {
        if self.kvs.len() >= self.enough || !self.request.admits(kv) {
            return;
        }
        match self.request.content {
            RangeContent::CountOnly => {}
            RangeContent::KeysAndValues => self.kvs.push(kv.clone()),
            // Sorting by value needs the values until the end.
            RangeContent::KeysOnly if self.request.sort.is_some() => self.kvs.push(kv.clone()),
            RangeContent::KeysOnly => self.kvs.push(without_value(kv)),
        }
    }

    pub(crate) fn finish(mut self) -> RangeResponse {
        let count = self.count();
        if let Some(sort) = self.request.sort {
            sort.apply(&mut self.kvs);
        }
        let limit = self.request.limit;
        let more = limit > 0 && self.kvs.len() > limit;
        if more {
            self.kvs.truncate(limit);
        }
        if self.request.content == RangeContent::KeysOnly {
            self.kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
        RangeResponse { revision: self.current, kvs: self.kvs, more, count }
    }

    /// Reads the whole range at once.
    pub(super) fn all(state: &State, request: RangeRequest, current: Revision) -> Result<RangeResponse> {
        let mut scan = Self::new(state, request, current)?;
        scan.step(state, usize::MAX)?;
        Ok(scan.finish())
    }
}

fn without_value(kv: &KeyValue) -> KeyValue {
    KeyValue { value: Bytes::new(), key: kv.key.clone(), ..*kv }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyRange, PutRequest, TxnRequest};

    fn put(state: &mut State, key: &str) {
        state.apply(TxnRequest::of([PutRequest::new(key.to_owned(), "value").into()])).unwrap();
        state.publish(i64::MAX);
    }

    /// The keys of a page, their number in all, and how many were counted.
    fn page(state: &State, counts: &mut Counts, request: RangeRequest) -> (Vec<Bytes>, u64, u64) {
        let mut scan = Scan::new(state, request, state.visible()).unwrap();
        scan.recall(counts);
        while !scan.step(state, 2).unwrap() {}
        scan.remember(counts);
        let counted = scan.count;
        let response = scan.finish();
        (response.kvs.into_iter().map(|kv| kv.key).collect(), response.count, counted)
    }

    #[test]
    fn pages_after_the_first_are_not_counted_again() {
        let (mut state, mut counts) = (State::new(false), Counts::default());
        ["a", "b", "c", "d", "e", "f"].iter().for_each(|key| put(&mut state, key));
        let at = state.visible();
        let from = |start: &'static str| {
            RangeRequest::new(KeyRange::Range(start.into(), "z".into())).with_limit(2).at_revision(at)
        };
        let keys = |keys: [&'static str; 2]| keys.map(Bytes::from).to_vec();
        assert_eq!(page(&state, &mut counts, from("a")), (keys(["a", "b"]), 6, 6));
        // What is written later is not there at this revision, and a key in between does not matter.
        put(&mut state, "ba");
        put(&mut state, "x");
        assert_eq!(page(&state, &mut counts, from("b\0")), (keys(["c", "d"]), 4, 3));
        assert_eq!(page(&state, &mut counts, from("e")), (keys(["e", "f"]), 2, 2));
        assert_eq!(page(&state, &mut counts, from("b")), (keys(["b", "c"]), 5, 5), "no page ended before it");
        let now = from("b\0").at_revision(0);
        assert_eq!(page(&state, &mut counts, now), (keys(["ba", "c"]), 6, 6), "another revision");
        let mut changed = from("b\0");
        changed.min_mod_revision = at;
        assert_eq!(
            page(&state, &mut counts, changed),
            (vec!["f".into()], 4, 4),
            "what is left out is counted"
        );
        let other =
            RangeRequest::new(KeyRange::Range("b\0".into(), "e".into())).with_limit(2).at_revision(at);
        assert_eq!(page(&state, &mut counts, other), (keys(["c", "d"]), 2, 2), "another end");
    }

    #[test]
    fn few_pages_are_remembered() {
        let (mut state, mut counts) = (State::new(false), Counts::default());
        ["a", "b"].iter().for_each(|key| put(&mut state, key));
        for _ in 0..2 * Counts::PAGES {
            page(&state, &mut counts, RangeRequest::default().with_limit(1));
        }
        assert_eq!(counts.0.len(), Counts::PAGES);
    }
}
