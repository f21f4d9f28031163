//! Keeps a mirror in the API server for every static pod.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::manifest::Statics;
use crate::{
    Result,
    pod::mirror::{Step, mirror, step},
};

/// How long a failed attempt is left alone.
const RETRY: Duration = Duration::from_secs(2);

/// Namespace and name.
type Name = (String, String);

#[derive(Default)]
struct State {
    wanted: Statics,
    mirrors: BTreeMap<Name, Arc<Pod>>,
}

/// Static pods and their mirrors. Clones share what they know.
#[derive(Clone, Default)]
pub(super) struct Mirrors {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

pub(super) fn name_of(pod: &Pod) -> Name {
    (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default())
}

impl Mirrors {
    /// These are the static pods from now on.
    pub(super) fn want(&self, pods: Statics) {
        self.state.lock().wanted = pods;
        self.changed.notify_one();
    }

    /// The API server has this mirror.
    pub(super) fn show(&self, pod: Pod) {
        self.state.lock().mirrors.insert(name_of(&pod), Arc::new(pod));
        self.changed.notify_one();
    }

    /// The API server does not have this mirror any more.
    pub(super) fn hide(&self, pod: &Pod) {
        let (mut state, name) = (self.state.lock(), name_of(pod));
        if state.mirrors.get(&name).is_some_and(|known| known.metadata.uid == pod.metadata.uid) {
            state.mirrors.remove(&name);
        }
        self.changed.notify_one();
    }

    /// The mirror of this name.
    pub(super) fn get(&self, name: &Name) -> Option<Arc<Pod>> {
        self.state.lock().mirrors.get(name).cloned()
    }

    /// All mirrors.
    pub(super) fn all(&self) -> Vec<Arc<Pod>> {
        self.state.lock().mirrors.values().cloned().collect()
    }

    /// Creates and deletes mirrors until they are what they should be, again whenever something changes. Does not return.
    pub(super) async fn keep(&self, client: &Client, node: &str) {
        loop {
            let well = self.round(client, node).await;
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(RETRY), if !well => {}
            }
        }
    }

    /// One look at every name; false when something has to be tried again.
    async fn round(&self, client: &Client, node: &str) -> bool {
        let names: BTreeSet<Name> = {
            let state = self.state.lock();
            state.wanted.keys().chain(state.mirrors.keys()).cloned().collect()
        };
        let mut well = true;
        for name in names {
            let (wanted, mirror) = {
                let state = self.state.lock();
                (state.wanted.get(&name).cloned(), state.mirrors.get(&name).cloned())
            };
            let done = match (step(wanted.as_deref(), mirror.as_deref()), wanted, mirror) {
                (Step::Create, Some(pod), _) => self.create(client, node, &pod).await,
                (Step::Delete, _, Some(mirror)) => self.delete(client, &mirror).await,
                _ => continue,
            };
            if let Err(error) = done {
                tracing::debug!(?name, %error, "mirror pod");
                well = false;
            }
        }
        well
    }

    async fn create(&self, client: &Client, node: &str, pod: &Pod) -> Result<()> {
        let node: Node = Api::all(client.clone()).get(node).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name_of(pod).0);
        self.show(pods.create(&PostParams::default(), &mirror(pod, &node)).await?);
        Ok(())
    }

    async fn delete(&self, client: &Client, mirror: &Pod) -> Result<()> {
        let (namespace, name) = name_of(mirror);
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: mirror.metadata.uid.clone(), resource_version: None }),
            ..DeleteParams::default()
        };
        match pods.delete(&name, &params).await {
            Ok(_) => {}
            // Another one has taken its place, or none has: the watch tells.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error.into()),
        }
        self.hide(mirror);
        Ok(())
    }
}
