//! What every namespace has: the service account `default` and the config map `kube-root-ca.crt`.

use crate::Result;
use crate::runner::{Action, Informer, Informers, Key, Plan, Reconcile, Wiring};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;

const ACCOUNT: &str = "default";
const ROOT_CA: &str = "kube-root-ca.crt";
const CA_KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const DESCRIPTION_TEXT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/// The controller `serviceaccount-controller`: every active namespace has a service account `default`.
#[derive(Debug)]
pub struct ServiceAccountController {
    namespaces: Informer<Namespace>,
    accounts: Informer<ServiceAccount>,
}

/// The controller `root-ca-cert-publisher`: every active namespace has the cluster's certificate authority.
#[derive(Debug)]
pub struct RootCaPublisher {
    namespaces: Informer<Namespace>,
    maps: Informer<ConfigMap>,
    root_ca: String,
}

impl ServiceAccountController {
    /// A controller over shared informers.
    pub fn new(informers: &Arc<Informers>) -> Self {
        Self { namespaces: informers.get(), accounts: informers.get() }
    }
}

impl RootCaPublisher {
    /// A controller that publishes this PEM bundle; none if it is empty.
    pub fn new(informers: &Arc<Informers>, root_ca: &str) -> Self {
        Self { namespaces: informers.get(), maps: informers.get(), root_ca: root_ca.to_owned() }
    }
}

fn is_active(namespaces: &Informer<Namespace>, name: &str) -> bool {
    namespaces
        .get(&Key::cluster(name))
        .is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none())
}

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.into()), name: Some(name.into()), ..ObjectMeta::default() }
}

/// Keys are namespaces: their own changes, and those of the object every namespace must have.
fn namespace_of(changed: Option<&ObjectMeta>, name: &str) -> Vec<Key> {
    let meta = changed.filter(|meta| meta.name.as_deref() == Some(name));
    meta.and_then(|meta| meta.namespace.clone()).map(Key::cluster).into_iter().collect()
}

impl Reconcile for ServiceAccountController {
    /// A namespace without the account.
    type View = String;

    fn name(&self) -> &'static str {
        "serviceaccount-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Namespace>();
        wiring.watch::<ServiceAccount>(|change| match &change.new {
            None => namespace_of(change.old.as_ref().map(|account| &account.metadata), ACCOUNT),
            Some(_) => Vec::new(),
        });
    }

    async fn observe(&self, key: &Key) -> Result<Option<String>> {
        let missing = self.accounts.get(&Key::new(&key.name, ACCOUNT)).is_none();
        Ok((missing && is_active(&self.namespaces, &key.name)).then(|| key.name.clone()))
    }

    fn plan(&self, namespace: &String, _: Timestamp) -> Plan {
        let account = ServiceAccount { metadata: metadata(namespace, ACCOUNT), ..ServiceAccount::default() };
        Plan::of(vec![Action::Ensure(account.into())])
    }
}

impl Reconcile for RootCaPublisher {
    /// A namespace and the config map it has.
    type View = (String, Option<Arc<ConfigMap>>);

    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn workers(&self) -> usize {
        1
    }

    fn wire(&self, wiring: &Wiring) {
        wiring.primary::<Namespace>();
        wiring.watch::<ConfigMap>(|change| namespace_of(change.latest().map(|map| &map.metadata), ROOT_CA));
    }

    async fn observe(&self, key: &Key) -> Result<Option<Self::View>> {
        let wanted = !self.root_ca.is_empty() && is_active(&self.namespaces, &key.name);
        Ok(wanted.then(|| (key.name.clone(), self.maps.get(&Key::new(&key.name, ROOT_CA)))))
    }

    fn plan(&self, (namespace, map): &Self::View, _: Timestamp) -> Plan {
        publish(namespace, map.as_deref(), &self.root_ca)
    }
}

fn publish(namespace: &str, map: Option<&ConfigMap>, root_ca: &str) -> Plan {
    let data = BTreeMap::from([(CA_KEY.to_owned(), root_ca.to_owned())]);
    let Some(map) = map else {
        let mut metadata = metadata(namespace, ROOT_CA);
        metadata.annotations = Some(BTreeMap::from([(DESCRIPTION.into(), DESCRIPTION_TEXT.into())]));
        let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        return Plan::of(vec![Action::Ensure(map.into())]);
    };
    let described =
        map.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(DESCRIPTION));
    if described && map.data.as_ref() == Some(&data) {
        return Plan::nothing();
    }
    let mut map = map.clone();
    map.metadata.annotations.get_or_insert_default().insert(DESCRIPTION.into(), DESCRIPTION_TEXT.into());
    map.data = Some(data);
    Plan::of(vec![Action::Update(map.into())])
}
