//! Doing a transaction.

use super::State;
use super::history::Version;
use super::scan::Scan;
use crate::{
    Compare, DeleteRequest, DeleteResponse, Event, EventKind, KeyRange, KeyValue, Op, OpResult, Precondition,
    PutRequest, PutResponse, RangeRequest, Result, Revision, TxnRequest, TxnResponse,
};

/// Which lists a transaction takes: decided for all levels before anything changes.
struct Path {
    succeeded: bool,
    /// One per transaction inside the list taken, in order.
    inner: Vec<Path>,
}

impl State {
    /// Does a transaction that may write, on the newest state. On error nothing is changed.
    pub(crate) fn apply(&mut self, request: TxnRequest) -> Result<TxnResponse> {
        let path = self.choose(&request, self.head);
        self.check_path(&request, &path, self.head)?;
        // Most write one key, and the memory is kept as long as the event.
        let mut run = Run { revision: self.head + 1, state: self, events: Vec::with_capacity(1) };
        let response = run.txn(request, path)?;
        run.finish();
        Ok(response)
    }

    /// Does a transaction that only reads, on the visible state.
    pub(crate) fn read(&self, request: TxnRequest) -> Result<TxnResponse> {
        let path = self.choose(&request, self.visible);
        self.check_path(&request, &path, self.visible)?;
        self.read_path(request, path)
    }

    fn read_path(&self, request: TxnRequest, path: Path) -> Result<TxnResponse> {
        let Path { succeeded, inner } = path;
        let mut inner = inner.into_iter();
        let mut response = TxnResponse { revision: self.visible, succeeded, results: Vec::new() };
        for op in if succeeded { request.success } else { request.failure } {
            response.results.push(match op {
                Op::Range(range) => OpResult::Range(Scan::all(self, range, self.visible)?),
                Op::Txn(txn) => match inner.next() {
                    Some(path) => OpResult::Txn(self.read_path(*txn, path)?),
                    None => continue,
                },
                // The caller made sure that there are none.
                Op::Put(_) | Op::Delete(_) => continue,
            });
        }
        Ok(response)
    }

    fn choose(&self, request: &TxnRequest, at: Revision) -> Path {
        let succeeded = request.compares.iter().all(|compare| self.compare(compare, at));
        let taken = if succeeded { &request.success } else { &request.failure };
        let inner = taken.iter().filter_map(|op| match op {
            Op::Txn(txn) => Some(self.choose(txn, at)),
            _ => None,
        });
        Path { succeeded, inner: inner.collect() }
    }

    fn compare(&self, compare: &Compare, at: Revision) -> bool {
        if let KeyRange::Key(key) = &compare.range {
            return compare.holds(self.at(key, at));
        }
        let mut kvs = self.histories(&compare.range).filter_map(|(_, h)| h.at(at)).peekable();
        if kvs.peek().is_none() {
            return compare.holds(None);
        }
        kvs.all(|kv| compare.holds(Some(kv)))
    }

    /// Refuses what would fail half way; puts before ranges, as etcd does, so that the error is the same.
    fn check_path(&self, request: &TxnRequest, path: &Path, at: Revision) -> Result<()> {
        check_taken(request, path, &|op| match op {
            Op::Put(put) => self.check_put(put),
            _ => Ok(()),
        })?;
        check_taken(request, path, &|op| match op {
            Op::Range(range) => self.check_revision(range.revision().unwrap_or(at), at),
            _ => Ok(()),
        })
    }

    fn check_put(&self, put: &PutRequest) -> Result<()> {
        if (put.ignore_value || put.ignore_lease) && self.at(&put.key, self.head).is_none() {
            return Err(Precondition::KeyNotFound.into());
        }
        if put.lease != 0 && !self.leases.exists(put.lease) {
            return Err(Precondition::LeaseNotFound(put.lease).into());
        }
        Ok(())
    }
}

/// Calls `check` with every operation of the lists that are taken.
fn check_taken(request: &TxnRequest, path: &Path, check: &dyn Fn(&Op) -> Result<()>) -> Result<()> {
    let mut inner = path.inner.iter();
    for op in if path.succeeded { &request.success } else { &request.failure } {
        check(op)?;
        if let Op::Txn(txn) = op
            && let Some(path) = inner.next()
        {
            check_taken(txn, path, check)?;
        }
    }
    Ok(())
}

/// A transaction while it runs.
struct Run<'a> {
    state: &'a mut State,
    revision: Revision,
    events: Vec<Event>,
}

impl Run<'_> {
    fn txn(&mut self, request: TxnRequest, path: Path) -> Result<TxnResponse> {
        let Path { succeeded, inner } = path;
        let mut inner = inner.into_iter();
        let ops = if succeeded { request.success } else { request.failure };
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            results.push(match op {
                Op::Range(range) => OpResult::Range(self.range(range)?),
                Op::Put(put) => OpResult::Put(self.put(put)),
                Op::Delete(delete) => OpResult::Delete(self.delete(delete)),
                Op::Txn(txn) => match inner.next() {
                    Some(path) => OpResult::Txn(self.txn(*txn, path)?),
                    None => continue,
                },
            });
        }
        Ok(TxnResponse { revision: self.current(), succeeded, results })
    }

    /// The revision as of the operations done so far.
    fn current(&self) -> Revision {
        if self.events.is_empty() { self.state.head } else { self.revision }
    }

    fn range(&self, request: RangeRequest) -> Result<crate::RangeResponse> {
        Scan::all(self.state, request, self.current())
    }

    fn put(&mut self, put: PutRequest) -> PutResponse {
        let old = self.state.index.get(&put.key).and_then(|history| history.current());
        let mut kv = KeyValue {
            // One allocation per key, however often it is written.
            key: old.map_or(put.key, |old| old.key.clone()),
            value: put.value,
            create_revision: old.map_or(self.revision, |old| old.create_revision),
            mod_revision: self.revision,
            version: old.map_or(1, |old| old.version + 1),
            lease: put.lease,
        };
        if let Some(old) = old {
            if put.ignore_value {
                kv.value = old.value.clone();
            }
            if put.ignore_lease {
                kv.lease = old.lease;
            }
        }
        let prev = self.record(EventKind::Put, kv);
        PutResponse { revision: self.current(), prev: prev.filter(|_| put.prev_kv) }
    }

    fn delete(&mut self, request: DeleteRequest) -> DeleteResponse {
        let mut response = DeleteResponse::default();
        let live = |history: &super::history::History| history.current().map(|kv| kv.key.clone());
        let keys: Vec<_> = match &request.range {
            KeyRange::Key(key) => self.state.index.get(key).and_then(live).into_iter().collect(),
            range => self.state.histories(range).filter_map(|(_, history)| live(history)).collect(),
        };
        for key in keys {
            let tombstone = KeyValue { key, mod_revision: self.revision, ..KeyValue::default() };
            let prev = self.record(EventKind::Delete, tombstone);
            response.deleted += 1;
            response.prev.extend(prev.filter(|_| request.prev_kv));
        }
        response.revision = self.current();
        response
    }

    fn record(&mut self, kind: EventKind, kv: KeyValue) -> Option<KeyValue> {
        let sub = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        let prev = self.state.add_version(Version { kv: kv.clone(), sub });
        self.events.push(Event { kind, kv, prev: prev.clone() });
        prev
    }

    fn finish(self) {
        if !self.events.is_empty() {
            self.state.head = self.revision;
            self.state.log.push(self.events.into_boxed_slice());
        }
    }
}
