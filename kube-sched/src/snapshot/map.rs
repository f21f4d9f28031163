//! A hash map in shared shards: cloning is one reference count, a write after a clone copies one shard.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

const SHARDS: usize = 256;

/// A copy-on-write hash map.
#[derive(Debug)]
pub(crate) struct CowMap<K, V> {
    shards: Arc<Vec<Arc<HashMap<K, V>>>>,
}

impl<K, V> Clone for CowMap<K, V> {
    fn clone(&self) -> Self {
        Self { shards: Arc::clone(&self.shards) }
    }
}

impl<K, V> Default for CowMap<K, V> {
    fn default() -> Self {
        // Many maps stay empty; the first write makes the shards.
        Self { shards: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> CowMap<K, V> {
    fn shard<Q: Hash + ?Sized>(key: &Q) -> usize {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        // The remainder fits: it is below SHARDS.
        usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or_default()
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards.get(Self::shard(key))?.get(key)
    }

    fn shard_mut(&mut self, index: usize) -> &mut HashMap<K, V> {
        let shards = Arc::make_mut(&mut self.shards);
        if shards.is_empty() {
            shards.resize(SHARDS, Arc::default());
        }
        Arc::make_mut(&mut shards[index])
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let shard = Self::shard(&key);
        self.shard_mut(shard).insert(key, value)
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if self.shards.is_empty() {
            return None;
        }
        let shard = Self::shard(key);
        self.shard_mut(shard).remove(key)
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}
