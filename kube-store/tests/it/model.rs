//! Random operations, side by side with a model too simple to be wrong: a map per revision.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use kube_store::engine::MemoryEngine;
use kube_store::{
    Compare, Config, DeleteRequest, EmbeddedStore, Error, EventKind, KeyRange, KeyValue, MemoryStore, Op,
    PutRequest, RangeRequest, Store, StoreExt, TxnRequest, WatchRequest, WatchStream,
};
use proptest::prelude::*;

type Keys = BTreeMap<Bytes, KeyValue>;
/// Kind, key, value and version of an event.
type Seen = (EventKind, Bytes, Bytes, i64);

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(KeyRange),
    /// If the first key exists, put the second and delete the third, else the other way round.
    Txn(u8, u8, u8),
    Range {
        back: i64,
        range: KeyRange,
        limit: usize,
    },
    Compact {
        back: i64,
    },
    Watch {
        back: i64,
        range: KeyRange,
    },
    ReadWatch(usize),
    Reopen,
}

fn key(n: u8) -> Bytes {
    format!("/{}/{}", n % 2, n / 2).into()
}

fn ranges() -> impl Strategy<Value = KeyRange> {
    let n = || 0..8u8;
    prop_oneof![
        4 => n().prop_map(|n| KeyRange::Key(key(n))),
        2 => (0..2u8).prop_map(|n| KeyRange::Prefix(format!("/{n}/").into())),
        1 => (n(), n()).prop_map(|(a, b)| KeyRange::Range(key(a), key(b))),
        1 => n().prop_map(|n| KeyRange::From(key(n))),
        1 => Just(KeyRange::All),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..8u8, any::<u8>()).prop_map(|(k, v)| Step::Put(k, v)),
        3 => ranges().prop_map(Step::Delete),
        3 => (0..8u8, 0..4u8, 4..8u8).prop_map(|(a, b, c)| Step::Txn(a, b, c)),
        4 => (0..20i64, ranges(), 0..4usize).prop_map(|(back, range, limit)| Step::Range { back, range, limit }),
        1 => (0..10i64).prop_map(|back| Step::Compact { back }),
        2 => (-2..8i64, ranges()).prop_map(|(back, range)| Step::Watch { back, range }),
        2 => any::<usize>().prop_map(Step::ReadWatch),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..80)
}

/// All that ever was, by revision.
struct Model {
    snapshots: Vec<Keys>,
    events: Vec<Vec<Seen>>,
    compacted: i64,
}

impl Model {
    fn new() -> Self {
        // Revisions 0 and 1 are empty.
        Self { snapshots: vec![Keys::new(); 2], events: vec![Vec::new(); 2], compacted: 0 }
    }

    fn revision(&self) -> i64 {
        self.snapshots.len() as i64 - 1
    }

    fn current(&self) -> &Keys {
        self.snapshots.last().unwrap()
    }

    fn commit(&mut self, puts: &[(Bytes, Bytes)], deletes: &[&KeyRange]) {
        let revision = self.revision() + 1;
        let (mut keys, mut events) = (self.current().clone(), Vec::new());
        for (key, value) in puts {
            let kv = keys
                .entry(key.clone())
                .or_insert_with(|| KeyValue { create_revision: revision, ..Default::default() });
            kv.key = key.clone();
            kv.value = value.clone();
            kv.mod_revision = revision;
            kv.version += 1;
            events.push((EventKind::Put, key.clone(), value.clone(), kv.version));
        }
        for range in deletes {
            let gone: Vec<_> = keys.keys().filter(|key| range.contains(key)).cloned().collect();
            for key in gone {
                keys.remove(&key);
                events.push((EventKind::Delete, key, Bytes::new(), 0));
            }
        }
        if !events.is_empty() {
            self.snapshots.push(keys);
            self.events.push(events);
        }
    }
}

struct Watcher {
    stream: WatchStream,
    range: KeyRange,
    /// Next revision to hear of.
    next: i64,
}

impl Watcher {
    /// Reads everything up to the model's revision; answers whether the watch goes on.
    async fn read(&mut self, model: &Model) -> bool {
        if self.next > model.revision() + 1 {
            // Nothing is said of what was before a watch begins.
            assert!(self.stream.next().now_or_never().is_none());
            return true;
        }
        self.stream.progress().request();
        let mut heard = Vec::new();
        loop {
            match self.stream.next().await.unwrap() {
                Ok(response) if response.events.is_empty() => {
                    if response.revision >= model.revision() {
                        break;
                    }
                }
                Ok(response) => heard.push((response.revision, response.events)),
                Err(Error::Compacted { compacted }) => {
                    assert!(compacted > self.next, "cut although nothing was lost");
                    assert_eq!(compacted, model.compacted);
                    return false;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let heard: Vec<(i64, Vec<Seen>)> = heard
            .into_iter()
            .map(|(revision, events)| {
                let seen = events.into_iter().map(|e| (e.kind, e.kv.key, e.kv.value, e.kv.version));
                (revision, seen.collect())
            })
            .collect();
        let wanted: Vec<(i64, Vec<Seen>)> = (self.next..=model.revision())
            .filter_map(|revision| {
                let events =
                    model.events[revision as usize].iter().filter(|event| self.range.contains(&event.1));
                let events: Vec<_> = events.cloned().collect();
                (!events.is_empty()).then_some((revision, events))
            })
            .collect();
        assert_eq!(heard, wanted, "watching {:?} from {}", self.range, self.next);
        self.next = self.next.max(model.revision() + 1);
        true
    }
}

struct Run<S> {
    store: S,
    model: Model,
    watchers: Vec<Watcher>,
}

impl<S: Store> Run<S> {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Put(k, v) => {
                self.store.put(key(k), vec![v]).await.unwrap();
                self.model.commit(&[(key(k), vec![v].into())], &[]);
            }
            Step::Delete(range) => {
                let wanted = self.model.current().keys().filter(|key| range.contains(key)).count() as u64;
                let response = self.store.delete_with(DeleteRequest::new(range.clone())).await.unwrap();
                assert_eq!(response.deleted, wanted);
                self.model.commit(&[], &[&range]);
            }
            Step::Txn(guard, a, b) => self.txn(key(guard), key(a), key(b)).await,
            Step::Range { back, range, limit } => {
                self.range(self.model.revision() - back, range, limit).await
            }
            Step::Compact { back } => self.compact(self.model.revision() - back).await,
            Step::Watch { back, range } => self.watch(self.model.revision() - back, range).await,
            Step::ReadWatch(n) if !self.watchers.is_empty() => {
                let n = n % self.watchers.len();
                if !self.watchers[n].read(&self.model).await {
                    self.watchers.remove(n);
                }
            }
            Step::ReadWatch(_) | Step::Reopen => {}
        }
        assert_eq!(self.store.revision().await.unwrap(), self.model.revision());
    }

    async fn txn(&mut self, guard: Bytes, a: Bytes, b: Bytes) {
        let ops = |put: &Bytes, delete: &Bytes| -> Vec<Op> {
            vec![PutRequest::new(put.clone(), "txn").into(), DeleteRequest::key(delete.clone()).into()]
        };
        let txn = TxnRequest {
            compares: vec![Compare::exists(guard.clone())],
            success: ops(&a, &b),
            failure: ops(&b, &a),
        };
        let response = self.store.txn(txn).await.unwrap();
        let exists = self.model.current().contains_key(&guard);
        assert_eq!(response.succeeded, exists);
        let (put, delete) = if exists { (a, b) } else { (b, a) };
        self.model.commit(&[(put, "txn".into())], &[&KeyRange::Key(delete)]);
        assert_eq!(response.revision, self.model.revision());
    }

    async fn range(&mut self, revision: i64, range: KeyRange, limit: usize) {
        let request = RangeRequest::new(range.clone()).at_revision(revision).with_limit(limit);
        let response = self.store.range(request).await;
        if revision > 0 && revision < self.model.compacted {
            assert!(
                matches!(response, Err(Error::Compacted { compacted }) if compacted == self.model.compacted)
            );
            return;
        }
        let response = response.unwrap();
        let keys = if revision > 0 { &self.model.snapshots[revision as usize] } else { self.model.current() };
        let wanted: Vec<_> = keys.values().filter(|kv| range.contains(&kv.key)).cloned().collect();
        assert_eq!(response.count, wanted.len() as u64);
        assert_eq!(response.more, limit > 0 && wanted.len() > limit);
        let cut = if limit > 0 { limit.min(wanted.len()) } else { wanted.len() };
        assert_eq!(response.kvs, wanted[..cut], "{range:?} at {revision}");
    }

    async fn compact(&mut self, revision: i64) {
        let outcome = self.store.compact(revision).await;
        if revision <= self.model.compacted {
            assert!(matches!(outcome, Err(Error::Compacted { .. })));
        } else {
            outcome.unwrap();
            self.model.compacted = revision;
        }
    }

    async fn watch(&mut self, start: i64, range: KeyRange) {
        let opened = self.store.watch(WatchRequest::new(range.clone()).from_revision(start)).await;
        let next = if start > 0 { start } else { self.model.revision() + 1 };
        match opened {
            Err(Error::Compacted { compacted }) => {
                assert!(compacted == self.model.compacted && next < compacted)
            }
            Err(error) => panic!("{error}"),
            Ok(stream) => {
                assert!(next >= self.model.compacted);
                self.watchers.push(Watcher { stream, range, next });
            }
        }
    }

    async fn finish(mut self) -> (S, Model) {
        for mut watcher in self.watchers.drain(..) {
            watcher.read(&self.model).await;
        }
        for revision in 1..=self.model.revision() {
            self.range(revision, KeyRange::All, 0).await;
        }
        (self.store, self.model)
    }
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory(steps in steps()) {
        block_on(async {
            let mut run = Run { store: MemoryStore::new(), model: Model::new(), watchers: Vec::new() };
            for step in steps {
                run.step(step).await;
            }
            run.finish().await;
        });
    }

    #[test]
    fn durable_and_opened_again(steps in steps()) {
        block_on(async {
            let engine = MemoryEngine::default();
            let open = || EmbeddedStore::with_engine(engine.clone(), Config::default());
            let mut run = Run { store: open().await.unwrap(), model: Model::new(), watchers: Vec::new() };
            for step in steps {
                if let Step::Reopen = step {
                    let (store, model) = run.finish().await;
                    drop(store);
                    run = Run { store: open().await.unwrap(), model, watchers: Vec::new() };
                }
                run.step(step).await;
            }
            let (store, model) = run.finish().await;
            drop(store);
            Run { store: open().await.unwrap(), model, watchers: Vec::new() }.finish().await;
        });
    }
}
