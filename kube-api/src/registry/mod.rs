//! The generic path of every kind over the store: there is one implementation of each verb, and a kind is a row.

mod create;
mod delete;
mod graceful;
mod keys;
mod known;
mod lease;
mod list;
mod patch;
mod read;
mod stream;
mod token;
mod update;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kube_store::Store;
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::admission::Admission;
use crate::allocate::Allocator;
use crate::auth::User;
use crate::cache::Cache;
use crate::config::Config;
use crate::error::{Error, Result, Target};
use crate::kinds::{Kind, Kinds};
use crate::object;

pub(crate) use list::Page;
pub(crate) use patch::{PatchType, apply as apply_patch};
pub(crate) use read::Stored;
pub(crate) use update::{Part, Proposal};

/// Objects by kind.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) allocator: Allocator,
    pub(crate) admission: Vec<Arc<dyn Admission>>,
    caches: HashMap<[String; 3], Cache>,
    known: known::Known,
    random: Mutex<fastrand::Rng>,
    event_lease: Mutex<Option<(i64, tokio::time::Instant)>>,
    _stop: DropGuard,
}

/// The object that a request is about, and on whose behalf.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    pub(crate) user: User,
}

/// What a write made.
#[derive(Debug)]
pub(crate) struct Written {
    /// The object with its version.
    pub(crate) object: Value,
    /// The same as a client reads it, if that is known already.
    pub(crate) served: Option<Bytes>,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

impl Subject {
    pub(crate) fn new(kind: &Arc<Kind>, namespace: &str, name: &str, user: User) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { kind: Arc::clone(kind), namespace, name, subresource: String::new(), user }
    }

    pub(crate) fn target(&self) -> Target {
        Target::new(self.kind.group.as_ref(), self.kind.plural.as_ref(), &self.name)
    }
}

impl Registry {
    /// Starts the watch cache of every kind.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        kinds: Arc<Kinds>,
        config: Config,
        admission: Vec<Arc<dyn Admission>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut caches = HashMap::new();
        for kind in kinds.iter().filter(|k| !k.is_virtual) {
            let (store, stop) = (Arc::clone(&store), stop.clone());
            let cache = Cache::start(Arc::clone(kind), keys::prefix(kind, ""), store, &config, stop);
            caches.insert(cache_key(kind), cache);
        }
        Self {
            allocator: Allocator::new(&config),
            known: known::Known::default(),
            random: Mutex::new(config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
            event_lease: Mutex::default(),
            _stop: stop.drop_guard(),
            kinds,
            store,
            config,
            admission,
            caches,
        }
    }

    pub(crate) fn cache(&self, kind: &Kind) -> Result<&Cache> {
        self.caches.get(&cache_key(kind)).ok_or(Error::MethodNotAllowed)
    }

    /// The built-in kind of this name.
    pub(crate) fn kind(&self, group: &str, version: &str, plural: &str) -> Result<&Arc<Kind>> {
        self.kinds.find(group, version, plural).ok_or(Error::UnknownResource)
    }

    /// A version 4 UUID.
    pub(crate) fn uid(&self) -> String {
        let bytes = self.random.lock().u128(..).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Five letters that form no words.
    pub(crate) fn suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut random = self.random.lock();
        (0..5).filter_map(|_| ALPHABET.get(random.usize(..ALPHABET.len())).map(|b| char::from(*b))).collect()
    }

    /// A random number below `bound`.
    pub(crate) fn random_below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.lock().u64(..bound) }
    }
}

/// An object as it is stored, which may be in another version.
fn stored_bytes(kind: &Kind, object: &Value) -> Result<Bytes> {
    if !kind.converts() {
        return object::encode(object);
    }
    let mut stored = object.clone();
    kind.to_storage(&mut stored);
    object::encode(&stored)
}

fn cache_key(kind: &Kind) -> [String; 3] {
    [kind.group.to_string(), kind.version.to_string(), kind.plural.to_string()]
}
