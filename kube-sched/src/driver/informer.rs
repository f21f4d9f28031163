//! Watches as a stream of single changes.

use std::collections::HashSet;
use std::fmt::Debug;

use futures::{Stream, StreamExt};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// A change of one object, or the end of the first list.
#[derive(Debug)]
pub(super) enum Change<K> {
    Applied(Box<K>),
    /// `namespace/name`, or the name of an object without a namespace.
    Deleted(String),
    Synced,
}

/// `namespace/name`, or the name alone.
pub(super) fn key<K: Resource>(object: &K) -> String {
    let metadata = object.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    metadata.namespace.as_deref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// What is known of the watched objects: enough to notice what vanished while the watch was down.
#[derive(Debug, Default)]
struct Known {
    keys: HashSet<String>,
    listed: HashSet<String>,
}

impl Known {
    fn changes<K: Resource>(&mut self, event: watcher::Event<K>) -> Vec<Change<K>> {
        match event {
            watcher::Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                self.listed.insert(key(&object));
                self.keys.insert(key(&object));
                vec![Change::Applied(Box::new(object))]
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let mut gone: Vec<_> = self.keys.difference(&listed).cloned().collect();
                gone.sort_unstable();
                self.keys = listed;
                gone.into_iter().map(Change::Deleted).chain([Change::Synced]).collect()
            }
            watcher::Event::Apply(object) => {
                self.keys.insert(key(&object));
                vec![Change::Applied(Box::new(object))]
            }
            watcher::Event::Delete(object) => {
                self.keys.remove(&key(&object));
                vec![Change::Deleted(key(&object))]
            }
        }
    }
}

/// Watches everything behind `api`, again and again with a back-off when that fails.
pub(super) fn changes<K>(api: Api<K>) -> impl Stream<Item = Change<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let events =
        watcher(api, watcher::Config::default()).modify(|object| object.meta_mut().managed_fields = None);
    let mut known = Known::default();
    events.default_backoff().flat_map(move |event| {
        let changes = event.map(|event| known.changes(event)).unwrap_or_else(|error| {
            let kind = std::any::type_name::<K>();
            if is_unknown(&error) {
                // A server that does not have the kind has no objects of it.
                tracing::debug!(%error, kind, "not served");
                return vec![Change::Synced];
            }
            tracing::warn!(%error, kind, "watch failed, trying again");
            Vec::new()
        });
        futures::stream::iter(changes)
    })
}

/// Whether the server does not know the kind.
fn is_unknown(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return false;
    };
    status.code == 404
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn pod(name: &str) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"namespace": "ns", "name": name}})).unwrap()
    }

    fn run(known: &mut Known, event: watcher::Event<Pod>) -> Vec<String> {
        let text = |change| match change {
            Change::Applied(pod) => format!("+{}", key::<Pod>(&pod)),
            Change::Deleted(key) => format!("-{key}"),
            Change::Synced => "synced".to_owned(),
        };
        known.changes(event).into_iter().map(text).collect()
    }

    #[test]
    fn a_list_deletes_what_it_does_not_name() {
        let mut known = Known::default();
        for (event, expected) in [
            (watcher::Event::Init, vec![]),
            (watcher::Event::InitApply(pod("a")), vec!["+ns/a"]),
            (watcher::Event::InitApply(pod("b")), vec!["+ns/b"]),
            (watcher::Event::InitDone, vec!["synced"]),
            (watcher::Event::Apply(pod("c")), vec!["+ns/c"]),
            (watcher::Event::Delete(pod("b")), vec!["-ns/b"]),
            (watcher::Event::Init, vec![]),
            (watcher::Event::InitApply(pod("c")), vec!["+ns/c"]),
            (watcher::Event::InitDone, vec!["-ns/a", "synced"]),
        ] {
            assert_eq!(run(&mut known, event), expected);
        }
    }
}
