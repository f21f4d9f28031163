//! Reading a range in steps, so that a long one does not hold the lock.

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
    current: Revision,
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
        Ok(Self { request, at, next, end, enough, kvs: Vec::new(), count: 0, current })
    }

    /// Visits up to `budget` keys; answers whether the range is done. Fails when compaction overtook it.
    pub(crate) fn step(&mut self, state: &State, budget: usize) -> Result<bool> {
        state.check_revision(self.at, self.at)?;
        for (visited, (key, history)) in state.histories_between(&self.next, self.end.as_ref()).enumerate() {
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
        RangeResponse { revision: self.current, kvs: self.kvs, more, count: self.count }
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
