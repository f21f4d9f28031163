//! A shared, indexed cache of one kind, fed by a watch and by the answers to our own writes.

use super::Key;
use kube::Resource;
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// What an informer can hold: any Kubernetes object, or just its metadata.
pub trait Cached: Resource + Clone + Send + Sync + 'static {}
impl<K: Resource + Clone + Send + Sync + 'static> Cached for K {}

/// One change in the cache.
#[derive(Debug)]
pub struct Change<K> {
    /// The object before, none if it is new.
    pub old: Option<Arc<K>>,
    /// The object now, none if it is gone.
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The newest version of the object.
    pub fn latest(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Both versions that exist.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(self.new.iter())
    }
}

/// Maps an object to the words it is found under.
pub type IndexFn<K> = fn(&K) -> Vec<String>;
type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// A shared cache of every object of one kind. Cheap to clone; each object is decoded once and shared.
///
/// **Own writes are visible at once.** The runner puts the server's answer to each write into the cache
/// ([`Informer::absorb`], [`Informer::absorb_deleted`]), unless the watch has already passed that revision. A
/// controller therefore never sees a cache older than its own last action, which is what client-go's
/// "expectations" approximate by counting.
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    state: RwLock<State<K>>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

struct State<K> {
    objects: BTreeMap<Key, Arc<K>>,
    indexes: Vec<Index<K>>,
    /// The newest revision the watch has delivered or announced.
    revision: u64,
    /// Objects we have deleted whose deletion the watch has not delivered yet.
    deleted: HashSet<String>,
}

struct Index<K> {
    name: &'static str,
    words: IndexFn<K>,
    entries: HashMap<String, BTreeSet<Key>>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer")
            .field("objects", &self.shared.state.read().objects.len())
            .finish_non_exhaustive()
    }
}

impl<K: Cached> Default for Informer<K> {
    fn default() -> Self {
        let state =
            State { objects: BTreeMap::new(), indexes: Vec::new(), revision: 0, deleted: HashSet::new() };
        let shared = Shared {
            state: RwLock::new(state),
            handlers: RwLock::default(),
            synced: watch::channel(false).0,
        };
        Self { shared: Arc::new(shared) }
    }
}

/// The resource version as the number it is (comparable since Kubernetes 1.35), 0 if it is none.
pub fn revision_of<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn uid_of<K: Resource>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

impl<K: Cached> Informer<K> {
    /// The object of that key.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.shared.state.read().objects.get(key).cloned()
    }

    /// Every object, ordered by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.state.read().objects.values().cloned().collect()
    }

    /// Every object of a namespace, ordered by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        let range = state.objects.range(Key::new(namespace, "")..);
        range.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// Every object under a word of an index added by [`Informer::index`], ordered by key.
    pub fn by_index(&self, index: &str, word: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        let Some(keys) = state.indexes.iter().find(|i| i.name == index).and_then(|i| i.entries.get(word))
        else {
            return Vec::new();
        };
        keys.iter().filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// Adds an index, once per name.
    pub fn index(&self, name: &'static str, words: IndexFn<K>) {
        let mut state = self.shared.state.write();
        if state.indexes.iter().any(|index| index.name == name) {
            return;
        }
        let mut index = Index { name, words, entries: HashMap::new() };
        state.objects.iter().for_each(|(key, object)| index.insert(key, object));
        state.indexes.push(index);
    }

    /// Calls `handler` for every change from now on. It must be quick: it runs on the watch.
    pub fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.shared.handlers.write().push(Box::new(handler));
    }

    /// Whether the first full list has arrived.
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Waits for the first full list.
    pub async fn synced(&self) {
        let _ = self.shared.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Takes a full list as of a revision: everything not in it is gone.
    pub fn replace(&self, items: Vec<K>, revision: u64) {
        let mut changes = Vec::new();
        {
            let mut state = self.shared.state.write();
            state.deleted.clear();
            let listed: BTreeSet<Key> = items.iter().map(Key::of).collect();
            // What the server acknowledged to us after the list was taken stays: the watch will confirm it.
            let absent = |(key, object): (&Key, &Arc<K>)| {
                (!listed.contains(key) && revision_of(object.as_ref()) <= revision).then(|| key.clone())
            };
            let gone: Vec<Key> = state.objects.iter().filter_map(absent).collect();
            changes.extend(gone.iter().filter_map(|key| state.remove(key)));
            for item in items {
                let known = state.objects.get(&Key::of(&item)).map_or(0, |known| revision_of(known.as_ref()));
                if known < revision_of(&item) {
                    changes.extend(state.insert(item));
                }
            }
            state.revision = revision;
        }
        self.publish(&changes);
        self.shared.synced.send_replace(true);
    }

    /// Takes an added or modified object from the watch.
    pub fn apply(&self, object: K) {
        let change = {
            let mut state = self.shared.state.write();
            let revision = revision_of(&object);
            state.revision = state.revision.max(revision);
            if state.deleted.contains(uid_of(&object)) || state.is_newer(&object, revision) {
                return;
            }
            state.insert(object)
        };
        self.publish(change.as_slice());
    }

    /// Takes a deletion from the watch.
    pub fn remove(&self, object: &K) {
        let change = {
            let mut state = self.shared.state.write();
            state.revision = state.revision.max(revision_of(object));
            state.deleted.remove(uid_of(object));
            state.remove_uid(&Key::of(object), uid_of(object))
        };
        self.publish(change.as_slice());
    }

    /// Takes note that the watch has passed a revision.
    pub fn progress(&self, revision: u64) {
        let mut state = self.shared.state.write();
        state.revision = state.revision.max(revision);
    }

    /// Takes the server's answer to a create, update or patch of ours.
    pub fn absorb(&self, object: K) {
        let change = {
            let mut state = self.shared.state.write();
            let revision = revision_of(&object);
            let passed = revision <= state.revision;
            if passed || state.deleted.contains(uid_of(&object)) || state.is_newer(&object, revision) {
                return;
            }
            state.insert(object)
        };
        self.publish(change.as_slice());
    }

    /// Takes the server's confirmation that an object is gone.
    pub fn absorb_deleted(&self, key: &Key, uid: &str) {
        let change = {
            let mut state = self.shared.state.write();
            let change = state.remove_uid(key, uid);
            if change.is_some() {
                state.deleted.insert(uid.to_owned());
            }
            change
        };
        self.publish(change.as_slice());
    }

    /// Calls every handler with every object, as if each had just changed.
    pub fn resync(&self) {
        let same = |object: Arc<K>| Change { old: Some(object.clone()), new: Some(object) };
        let changes: Vec<Change<K>> = self.list().into_iter().map(same).collect();
        self.publish(&changes);
    }

    fn publish(&self, changes: &[Change<K>]) {
        let handlers = self.shared.handlers.read();
        changes.iter().for_each(|change| handlers.iter().for_each(|handler| handler(change)));
    }
}

impl<K: Cached> State<K> {
    /// Whether the cache holds a version of the same object at least as new.
    fn is_newer(&self, object: &K, revision: u64) -> bool {
        self.objects
            .get(&Key::of(object))
            .is_some_and(|known| revision > 0 && revision_of(known.as_ref()) >= revision)
    }

    fn insert(&mut self, object: K) -> Option<Change<K>> {
        let (key, new) = (Key::of(&object), Arc::new(object));
        let old = self.objects.insert(key.clone(), new.clone());
        for index in &mut self.indexes {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&key, &new);
        }
        Some(Change { old, new: Some(new) })
    }

    fn remove_uid(&mut self, key: &Key, uid: &str) -> Option<Change<K>> {
        let same = self.objects.get(key).is_some_and(|known| uid_of(known.as_ref()) == uid);
        if same { self.remove(key) } else { None }
    }

    fn remove(&mut self, key: &Key) -> Option<Change<K>> {
        let old = self.objects.remove(key)?;
        self.indexes.iter_mut().for_each(|index| index.remove(key, &old));
        Some(Change { old: Some(old), new: None })
    }
}

impl<K> Index<K> {
    fn insert(&mut self, key: &Key, object: &Arc<K>) {
        for word in (self.words)(object) {
            self.entries.entry(word).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key, object: &Arc<K>) {
        for word in (self.words)(object) {
            if let Some(keys) = self.entries.get_mut(&word) {
                keys.remove(key);
                if keys.is_empty() {
                    self.entries.remove(&word);
                }
            }
        }
    }
}
