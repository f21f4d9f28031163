//! Takes apart namespaces that are being deleted.

mod plan;
#[cfg(test)]
mod tests;

use crate::discovery::{Discovered, discover};
use crate::runner::{Informer, Informers, Key, Plan, Reconcile, Wiring};
use crate::{Error, Result};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DynamicObject, ListParams};
use std::sync::Arc;

/// The controller `namespace-controller`: deletes all content of a terminating namespace, pods before everything
/// else, and then lets the namespace go by removing the finalizer `kubernetes`.
#[derive(Debug)]
pub struct NamespaceController {
    informers: Arc<Informers>,
    namespaces: Informer<Namespace>,
}

/// A terminating namespace and what is left in it.
#[derive(Debug)]
pub struct View {
    namespace: Arc<Namespace>,
    contents: Vec<Content>,
    discovery_failures: Vec<String>,
    list_failures: Vec<String>,
}

/// What is left of one resource.
#[derive(Debug)]
struct Content {
    resource: Discovered,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    key: Key,
    uid: String,
    finalizers: Vec<String>,
    deleting: bool,
}

impl NamespaceController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        Self { informers: informers.clone(), namespaces: informers.get() }
    }

    async fn content(&self, namespace: &str, resource: Discovered) -> Result<Content> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.informers.client(), namespace, &resource.resource);
        let mut items = Vec::new();
        let mut params = ListParams::default().limit(500);
        loop {
            let page = match api.list_metadata(&params).await.map_err(Error::from) {
                Ok(page) => page,
                // The resource itself went away, for example with its definition.
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error),
            };
            items.extend(page.items.iter().map(|object| Item {
                key: Key::of(object),
                uid: object.metadata.uid.clone().unwrap_or_default(),
                finalizers: object.metadata.finalizers.clone().unwrap_or_default(),
                deleting: object.metadata.deletion_timestamp.is_some(),
            }));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = ListParams::default().limit(500).continue_token(&token),
                None => break,
            }
        }
        Ok(Content { resource, items })
    }
}

fn is_finalized(namespace: &Namespace) -> bool {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
    finalizers.is_none_or(|finalizers| !finalizers.iter().any(|name| name == plan::FINALIZER))
}

impl Reconcile for NamespaceController {
    type View = View;

    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn workers(&self) -> usize {
        10
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Namespace>();
        let namespaces = self.namespaces.clone();
        // The last pod to go lets the deletion of the rest begin.
        wiring.watch::<Pod>(move |change| {
            let gone = change.old.as_ref().filter(|_| change.new.is_none());
            let namespace = gone.and_then(|pod| pod.metadata.namespace.clone()).map(Key::cluster);
            let ends = |key: &Key| {
                namespaces.get(key).is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some())
            };
            namespace.filter(ends).into_iter().collect()
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<View>> {
        let ends = |namespace: &Arc<Namespace>| {
            namespace.metadata.deletion_timestamp.is_some() && !is_finalized(namespace)
        };
        let Some(namespace) = self.namespaces.get(key).filter(ends) else { return Ok(None) };
        let discovery = discover(&self.informers.client()).await?;
        let deletable = |resource: &Discovered| resource.namespaced && resource.supports(&["delete", "list"]);
        let resources = discovery.resources.into_iter().filter(deletable);
        let lists = join_all(resources.map(|resource| self.content(&key.name, resource))).await;
        let mut view = View {
            namespace,
            contents: Vec::new(),
            discovery_failures: discovery.failures,
            list_failures: Vec::new(),
        };
        for list in lists {
            match list {
                Ok(content) if content.items.is_empty() => {}
                Ok(content) => view.contents.push(content),
                Err(error) => view.list_failures.push(error.to_string()),
            }
        }
        Ok(Some(view))
    }

    fn plan(&self, view: &View, now: Timestamp) -> Plan {
        plan::plan(view, now)
    }

    fn report(&self, view: &View, outcome: &Result<()>, now: Timestamp) -> Plan {
        plan::report(view, outcome, now)
    }
}

impl Item {
    fn is_stuck(&self) -> bool {
        self.deleting && !self.finalizers.is_empty()
    }
}

impl Content {
    fn is_pods(&self) -> bool {
        self.resource.resource.group.is_empty() && self.resource.resource.plural == "pods"
    }
}
