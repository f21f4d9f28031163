//! One lock per thing, for as long as somebody holds it or waits for it.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Locks by key.
#[derive(Debug)]
pub(super) struct Locks<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Locks<K> {
    /// Waits until nobody else has this key.
    pub(super) async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            // Those that are held or waited for are known to somebody else too.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(key.clone()).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_key_has_one_holder_and_none_is_kept_for_nobody() {
        let locks = Locks::default();
        let first = locks.lock(&1).await;
        let second = locks.lock(&2).await;
        let mut waiting = Box::pin(locks.lock(&1));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(first);
        let third = waiting.await;
        drop((second, third));
        let _fourth = locks.lock(&3).await;
        assert_eq!(locks.0.lock().len(), 1);
    }
}
