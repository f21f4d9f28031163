//! ConfigMaps, Secrets and Services that pods refer to.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt, reflector, watcher},
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::Result;

/// A ConfigMap or Secret by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reference {
    ConfigMap(String),
    Secret(String),
}

/// Counts the changes of one object, as long as somebody is interested.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) version: watch::Receiver<u64>,
    _watch: AbortOnDropHandle<()>,
}

type Watched = Mutex<HashMap<(String, Reference), Weak<Changes>>>;

/// Reads and watches what pods refer to. One watch per object is shared by all pods of the node.
#[derive(Clone)]
pub(crate) struct Objects {
    client: Client,
    watched: Arc<Watched>,
    services: reflector::Store<Service>,
}

impl Objects {
    /// Starts the watch over all services, which the environment of containers needs.
    pub(crate) fn new(client: Client, shutdown: CancellationToken) -> Self {
        let (services, writer) = reflector::store();
        let api: Api<Service> = Api::all(client.clone());
        let stream = watcher(api, watcher::Config::default()).default_backoff().reflect(writer);
        tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(Some(_)) = shutdown.run_until_cancelled(stream.next()).await {}
        });
        Self { client, watched: Arc::default(), services }
    }

    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>> {
        Ok(Api::namespaced(self.client.clone(), namespace).get_opt(name).await?)
    }

    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>> {
        Ok(Api::namespaced(self.client.clone(), namespace).get_opt(name).await?)
    }

    /// The services of a namespace and the API server's own.
    pub(crate) async fn services(&self, namespace: &str) -> Vec<Arc<Service>> {
        // An error means that the watch has ended, which happens only at shutdown.
        let _ = self.services.wait_until_ready().await;
        let wanted = |s: &Arc<Service>| {
            let (ns, name) = (s.metadata.namespace.as_deref(), s.metadata.name.as_deref());
            ns == Some(namespace) || (ns == Some("default") && name == Some("kubernetes"))
        };
        self.services.state().into_iter().filter(wanted).collect()
    }

    /// Changes of an object from now on.
    pub(crate) fn changes(&self, namespace: &str, reference: &Reference) -> Arc<Changes> {
        let key = (namespace.to_owned(), reference.clone());
        let mut watched = self.watched.lock();
        if let Some(known) = watched.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        watched.retain(|_, w| w.strong_count() > 0);
        let changes = Arc::new(match reference {
            Reference::ConfigMap(name) => self.watch_one::<ConfigMap>(namespace, name),
            Reference::Secret(name) => self.watch_one::<Secret>(namespace, name),
        });
        watched.insert(key, Arc::downgrade(&changes));
        changes
    }

    fn watch_one<K>(&self, namespace: &str, name: &str) -> Changes
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + 'static,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let (sender, version) = watch::channel(0);
        let task = async move {
            let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
            let mut seen = None;
            while let Some(event) = stream.next().await {
                let now = match event {
                    Ok(watcher::Event::Apply(o) | watcher::Event::InitApply(o)) => {
                        o.meta().resource_version.clone()
                    }
                    Ok(watcher::Event::Delete(_)) => None,
                    _ => continue,
                };
                if seen.as_ref() != Some(&now) {
                    sender.send_modify(|v| *v += 1);
                }
                seen = Some(now);
            }
        };
        Changes { version, _watch: AbortOnDropHandle::new(tokio::spawn(task)) }
    }
}
