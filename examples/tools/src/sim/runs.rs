//! A simulated life of a store: random writes, reads, watches and compactions from one seed, checked against a model.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;
use futures::StreamExt;
use kube_store::{
    Compare, EventKind, KeyRange, MemoryStore, Op, PutRequest, Revision, Store, StoreExt, TxnRequest,
    WatchRequest,
};

use crate::Failure;

/// Few keys, so that writes meet.
const KEYS: usize = 8;

type State = BTreeMap<Bytes, (Bytes, Revision)>;

/// Runs the simulation of `seed` and checks what every client of a store relies on.
///
/// # Errors
/// The violation, with the step at which it was seen.
pub(crate) fn store(seed: u64, steps: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let mut run =
            Run { store: MemoryStore::new(), model: State::new(), revision: 1, random: Rng::with_seed(seed) };
        let watched = run.store.watch(WatchRequest::new(KeyRange::All)).await?;
        for step in 0..steps {
            run.step().await.map_err(|violation| format!("step {step}: {violation}"))?;
        }
        run.check_watch(watched).await
    })
}

/// Runs the simulation of a group under faults.
///
/// # Errors
/// The rule that was broken, with what happened before.
pub(crate) fn replicated(seed: u64) -> Result<(), Failure> {
    use kube_store::testing::simulation::{Settings, run};
    match run(seed, &Settings::default()) {
        Ok(_) => Ok(()),
        Err(broken) => Err(format!("{broken}\n{}", broken.trace.join("\n")).into()),
    }
}

struct Run {
    store: MemoryStore,
    model: State,
    revision: Revision,
    random: Rng,
}

impl Run {
    fn key(&mut self) -> Bytes {
        Bytes::from(format!("key-{}", self.random.usize(..KEYS)))
    }

    async fn step(&mut self) -> Result<(), Failure> {
        match self.random.u8(..10) {
            0..5 => self.put().await,
            5..7 => self.compare_and_put().await,
            7..9 => self.delete().await,
            _ => self.read().await,
        }
    }

    fn wrote(&mut self, revision: Revision) -> Result<(), Failure> {
        self.revision += 1;
        if revision == self.revision {
            Ok(())
        } else {
            Err(format!("revision {revision}, expected {}", self.revision).into())
        }
    }

    async fn put(&mut self) -> Result<(), Failure> {
        let (key, value) = (self.key(), Bytes::from(self.random.u64(..).to_string()));
        let revision = self.store.put(key.clone(), value.clone()).await?;
        self.model.insert(key, (value, revision));
        self.wrote(revision)
    }

    /// Writes if the key is as old as is believed; half of the beliefs are wrong.
    async fn compare_and_put(&mut self) -> Result<(), Failure> {
        let (key, value) = (self.key(), Bytes::from(self.random.u64(..).to_string()));
        let actual = self.model.get(&key).map_or(0, |(_, revision)| *revision);
        let believed = if self.random.bool() { actual } else { actual + 1 };
        let txn = TxnRequest {
            compares: vec![Compare::mod_revision_eq(key.clone(), believed)],
            success: vec![Op::Put(PutRequest::new(key.clone(), value.clone()))],
            failure: Vec::new(),
        };
        let answer = self.store.txn(txn).await?;
        if answer.succeeded != (believed == actual) {
            return Err(format!("a comparison with {believed} of {actual} gave {}", answer.succeeded).into());
        }
        if !answer.succeeded {
            return Ok(());
        }
        self.model.insert(key, (value, answer.revision));
        self.wrote(answer.revision)
    }

    async fn delete(&mut self) -> Result<(), Failure> {
        let key = self.key();
        let existed = self.model.remove(&key).is_some();
        self.store.delete(key).await?;
        self.revision += i64::from(existed);
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let listed = self.store.list(Bytes::from_static(b"key-")).await?;
        let seen: State = listed.kvs.into_iter().map(|kv| (kv.key, (kv.value, kv.mod_revision))).collect();
        if seen != self.model || listed.revision != self.revision {
            return Err(
                format!("a list at {} differs from the model at {}", listed.revision, self.revision).into()
            );
        }
        Ok(())
    }

    /// From what a watcher saw, in order and without gaps, follows the state.
    async fn check_watch(self, mut watched: kube_store::WatchStream) -> Result<(), Failure> {
        let (mut state, mut last) = (State::new(), 1);
        while last < self.revision {
            let news = watched.next().await.ok_or("the watch ended")??;
            for event in news.events {
                if event.kv.mod_revision < last {
                    return Err(format!("an event of {} after one of {last}", event.kv.mod_revision).into());
                }
                last = event.kv.mod_revision;
                match event.kind {
                    EventKind::Put => state.insert(event.kv.key, (event.kv.value, event.kv.mod_revision)),
                    EventKind::Delete => state.remove(&event.kv.key),
                };
            }
        }
        if state == self.model { Ok(()) } else { Err("the watched state differs from the model".into()) }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_few_seeds_hold() {
        for seed in 0..20 {
            super::store(seed, 300).unwrap();
        }
    }
}
