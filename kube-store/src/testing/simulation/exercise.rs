//! One writer whose every step is known, many readers and watchers, on any store: what they are told is held against what was
//! done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fastrand::Rng;
use futures::{FutureExt, StreamExt};

use super::rule::{Checked, Rule};
use super::watched::{History, Told, Watched};
use crate::{
    Compare, DeleteRequest, Error, Event, EventFilter, EventKind, KeyRange, KeyValue, LeaseRequest,
    PutRequest, RangeRequest, Revision, Store, StoreExt, TxnRequest, WatchRequest, WatchStream,
};

/// Few keys, so that writes meet; in two groups, for watches of a prefix.
const KEYS: usize = 8;
/// Watches at one time.
const WATCHES: usize = 12;
/// How far ahead a watch may begin.
const AHEAD: i64 = 10;
/// The lease that some keys are bound to, which does not end.
const LEASE: i64 = 7;

/// Where the exercise takes place.
#[async_trait]
pub trait Stage: Send {
    /// Something may happen before a step; answers the stores that can be asked, of which each is the same store.
    async fn step(&mut self) -> Vec<Arc<dyn Store>>;

    /// Waits for news of a watch; `false` when that took too long.
    async fn idle(&mut self) -> bool;
}

/// A store whose watches have at once what they will ever have.
#[derive(Debug)]
pub struct Immediate(pub Arc<dyn Store>);

#[async_trait]
impl Stage for Immediate {
    async fn step(&mut self) -> Vec<Arc<dyn Store>> {
        vec![self.0.clone()]
    }

    async fn idle(&mut self) -> bool {
        false
    }
}

/// What happened in an exercise that kept all rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exercised {
    /// Revisions made.
    pub revisions: Revision,
    /// Reads compared.
    pub reads: usize,
    /// Watches compared.
    pub watches: usize,
    /// Those of them that compaction ended.
    pub cut: usize,
    /// Things that watches were told.
    pub told: usize,
}

/// Does `steps` random things and looks at what comes of them. The store must be empty, and nobody else may write.
///
/// # Errors
/// The first rule that was broken.
pub async fn exercise(seed: u64, steps: usize, stage: &mut impl Stage) -> Checked<Exercised> {
    let mut run = Run {
        rng: Rng::with_seed(seed),
        stores: stage.step().await,
        model: BTreeMap::new(),
        history: History::default(),
        revision: 1,
        compacted: 0,
        values: 0,
        live: Vec::new(),
        seen: Exercised::default(),
    };
    run.grant().await?;
    for _ in 0..steps {
        run.stores = stage.step().await;
        run.step().await?;
    }
    run.finish(stage).await
}

struct Run {
    rng: Rng,
    stores: Vec<Arc<dyn Store>>,
    model: BTreeMap<Bytes, KeyValue>,
    history: History,
    revision: Revision,
    compacted: Revision,
    values: u64,
    live: Vec<Live>,
    seen: Exercised,
}

/// A watch that goes on.
struct Live {
    watched: Watched,
    stream: WatchStream,
    /// Whether it reads one thing now and then, and not all there is.
    is_slow: bool,
}

/// A store has no reason not to answer here.
fn refused(error: Error) -> super::Broken {
    Rule::Runs.because(error.to_string())
}

impl Run {
    fn store(&mut self) -> Arc<dyn Store> {
        let at = self.rng.usize(..self.stores.len().max(1));
        self.stores.get(at).cloned().unwrap_or_else(|| Arc::new(crate::MemoryStore::new()))
    }

    fn key(&mut self) -> Bytes {
        let n = self.rng.usize(..KEYS);
        Bytes::from(format!("/{}/{n}", if n.is_multiple_of(2) { "even" } else { "odd" }))
    }

    fn value(&mut self) -> Bytes {
        self.values += 1;
        self.values.to_string().into()
    }

    async fn grant(&mut self) -> Checked {
        let ttl = Duration::from_secs(1 << 20);
        let granted = self.store().lease(LeaseRequest::Grant { id: LEASE, ttl }).await;
        granted.map(drop).map_err(refused)
    }

    async fn step(&mut self) -> Checked {
        match self.rng.u8(..20) {
            0..9 => self.write().await?,
            9..13 => self.read().await?,
            13 => self.compact().await?,
            14..17 => self.open().await?,
            17 => self.close()?,
            18 => {
                if let Some(live) = self.rng.choice(&self.live) {
                    live.stream.progress().request();
                }
            }
            _ => {}
        }
        self.listen()
    }

    /// What a put would do now.
    fn put_event(&mut self, key: Bytes) -> Event {
        let old = self.model.get(&key).cloned();
        let kv = KeyValue {
            value: self.value(),
            create_revision: old.as_ref().map_or(self.revision + 1, |old| old.create_revision),
            mod_revision: self.revision + 1,
            version: old.as_ref().map_or(1, |old| old.version + 1),
            lease: if self.rng.u8(..4) == 0 { LEASE } else { 0 },
            key,
        };
        Event { kind: EventKind::Put, kv, prev: old }
    }

    /// What a delete would do now, if anything.
    fn delete_events(&self, range: &KeyRange) -> Vec<Event> {
        let there = self.model.values().filter(|kv| range.contains(&kv.key));
        let gone = |kv: &KeyValue| Event {
            kind: EventKind::Delete,
            kv: KeyValue { key: kv.key.clone(), mod_revision: self.revision + 1, ..KeyValue::default() },
            prev: Some(kv.clone()),
        };
        there.map(gone).collect()
    }

    async fn write(&mut self) -> Checked {
        let key = self.key();
        let put_of = |event: &Event| {
            PutRequest::new(event.kv.key.clone(), event.kv.value.clone()).with_lease(event.kv.lease)
        };
        let (txn, events) = match self.rng.u8(..10) {
            0..5 => {
                let event = self.put_event(key);
                (TxnRequest::of([put_of(&event).into()]), vec![event])
            }
            5..7 => {
                let range = KeyRange::Key(key.clone());
                (TxnRequest::of([DeleteRequest::key(key).into()]), self.delete_events(&range))
            }
            7 => {
                let range = KeyRange::Prefix("/even/".into());
                (TxnRequest::of([DeleteRequest::prefix("/even/").into()]), self.delete_events(&range))
            }
            8 => {
                let believed = if self.rng.bool() {
                    self.revision
                } else {
                    self.model.get(&key).map_or(0, |kv| kv.mod_revision)
                };
                let holds = self.model.get(&key).map_or(0, |kv| kv.mod_revision) == believed;
                let event = self.put_event(key.clone());
                let txn =
                    TxnRequest::of([put_of(&event).into()]).when(Compare::mod_revision_eq(key, believed));
                (txn, if holds { vec![event] } else { Vec::new() })
            }
            _ => {
                let mut keys: Vec<Bytes> = (0..3).map(|_| self.key()).collect();
                keys.sort_unstable();
                keys.dedup();
                let events: Vec<Event> = keys.into_iter().map(|key| self.put_event(key)).collect();
                (TxnRequest::of(events.iter().map(|event| put_of(event).into())), events)
            }
        };
        let response = self.store().txn(txn).await.map_err(refused)?;
        self.wrote(response.revision, events)
    }

    fn wrote(&mut self, revision: Revision, events: Vec<Event>) -> Checked {
        let wanted = self.revision + i64::from(!events.is_empty());
        if revision != wanted {
            return Rule::Revisions
                .broken(format!("a write was answered with {revision}, expected {wanted}"));
        }
        for event in &events {
            match event.kind {
                EventKind::Put => self.model.insert(event.kv.key.clone(), event.kv.clone()),
                EventKind::Delete => self.model.remove(&event.kv.key),
            };
        }
        if !events.is_empty() {
            self.history.add(revision, events);
        }
        self.revision = revision;
        Ok(())
    }

    async fn read(&mut self) -> Checked {
        self.seen.reads += 1;
        let (store, key) = (self.store(), self.key());
        let is_old = self.rng.u8(..4) == 0;
        let at = if is_old { self.rng.i64(self.compacted.max(1)..=self.revision) } else { self.revision };
        let mut request = RangeRequest::key(key.clone());
        if is_old {
            request = request.at_revision(at);
        }
        let response = store.range(request).await.map_err(refused)?;
        let wanted = self.history.at(&key, at);
        if response.kvs.first() != wanted || response.revision != self.revision {
            let told = (response.revision, response.kvs);
            let rule = if is_old { Rule::Reads } else { Rule::Linearizable };
            return rule
                .broken(format!("a read at {at} of {} gave {told:?} and not {wanted:?}", self.revision));
        }
        Ok(())
    }

    /// Now and then up to the newest revision, which may be a delete.
    async fn compact(&mut self) -> Checked {
        if self.compacted == self.revision {
            return Ok(());
        }
        let at =
            if self.rng.bool() { self.revision } else { self.rng.i64(self.compacted + 1..=self.revision) };
        self.compacted = at;
        self.store().compact(at).await.map_err(refused)
    }

    async fn open(&mut self) -> Checked {
        if self.live.len() >= WATCHES {
            return Ok(());
        }
        let range = match self.rng.u8(..4) {
            0 => KeyRange::Key(self.key()),
            1 => KeyRange::Prefix("/odd/".into()),
            _ => KeyRange::All,
        };
        let mut request = WatchRequest { prev_kv: self.rng.bool(), ..WatchRequest::new(range) };
        request.start_revision = match self.rng.u8(..5) {
            0 => None,
            1 => Some(self.revision + self.rng.i64(1..=AHEAD)),
            2 => Some(self.compacted.max(1)),
            _ => Some(self.rng.i64(self.compacted.max(1)..=self.revision)),
        };
        request.filter = self
            .rng
            .choice([EventFilter::All, EventFilter::All, EventFilter::DeletesOnly])
            .unwrap_or_default();
        let stream = self.store().watch(request.clone()).await.map_err(refused)?;
        let watched = Watched { request, opened: stream.revision(), told: Vec::new() };
        self.live.push(Live { watched, stream, is_slow: self.rng.u8(..3) == 0 });
        Ok(())
    }

    /// Somebody has seen enough.
    fn close(&mut self) -> Checked {
        if self.live.is_empty() {
            return Ok(());
        }
        let at = self.rng.usize(..self.live.len());
        let live = self.live.swap_remove(at);
        self.look_at(&live.watched)
    }

    fn look_at(&mut self, watched: &Watched) -> Checked {
        self.seen.watches += 1;
        self.seen.told += watched.told.len();
        self.seen.cut += usize::from(matches!(watched.told.last(), Some(Told::Compacted(_))));
        watched.check(&self.history)
    }

    /// Lets every watcher read what it wants to read now.
    fn listen(&mut self) -> Checked {
        let mut ended = Vec::new();
        for at in (0..self.live.len()).rev() {
            let is_slow = self.live.get(at).is_some_and(|live| live.is_slow);
            let most = match is_slow {
                true => usize::from(self.rng.u8(..6) == 0),
                false => usize::MAX,
            };
            if let Some(live) = self.live.get_mut(at)
                && !live.take(most)?
            {
                ended.push(self.live.swap_remove(at));
            }
        }
        ended.iter().try_for_each(|live| self.look_at(&live.watched))
    }

    /// Whoever still watches gets to hear everything.
    async fn finish(mut self, stage: &mut impl Stage) -> Checked<Exercised> {
        self.stores = stage.step().await;
        let last = self.live.iter().map(|live| live.watched.start()).max().unwrap_or(0);
        while self.revision <= last {
            let event = self.put_event("/odd/1".into());
            let put =
                PutRequest::new(event.kv.key.clone(), event.kv.value.clone()).with_lease(event.kv.lease);
            let revision = self.store().put_with(put).await.map_err(refused)?.revision;
            self.wrote(revision, vec![event])?;
        }
        for mut live in std::mem::take(&mut self.live) {
            live.stream.progress().request();
            while live.take(usize::MAX)? && !live.watched.is_done(self.revision) {
                if !stage.idle().await {
                    // What it was told wrongly says more than what it was not told.
                    live.watched.check(&self.history)?;
                    return Rule::WatchGap
                        .broken(format!("{:?} is not told {}", live.watched, self.revision));
                }
                // A member that was behind has reported where it was.
                live.stream.progress().request();
            }
            self.look_at(&live.watched)?;
        }
        Ok(Exercised { revisions: self.revision, ..self.seen })
    }
}

impl Live {
    /// Reads what is there; answers whether the watch goes on.
    fn take(&mut self, most: usize) -> Checked<bool> {
        for _ in 0..most {
            let told = match self.stream.next().now_or_never() {
                None => return Ok(true),
                Some(Some(Ok(response))) if response.events.is_empty() => Told::Progress(response.revision),
                Some(Some(Ok(response))) => Told::Events(response.events),
                Some(Some(Err(Error::Compacted { compacted }))) => {
                    self.watched.told.push(Told::Compacted(compacted));
                    return Ok(false);
                }
                // The member is gone, as the client sees.
                Some(None | Some(Err(Error::Unavailable { .. }))) => return Ok(false),
                Some(Some(Err(error))) => return Err(refused(error)),
            };
            self.watched.told.push(told);
        }
        Ok(true)
    }
}
