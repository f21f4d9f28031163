//! The kinds that plans create and update, as one closed enum.

use super::Key;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::{
    apps::v1 as apps, coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
    resource::v1 as resource,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{Api, ApiResource};
use kube::{Client, Resource};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// A kind that informers hold decoded and plans handle typed.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The API of this kind in a namespace; the namespace is ignored by cluster-scoped kinds.
    fn api(client: Client, namespace: &str) -> Api<Self>;
}

/// Chooses the API by the scope in the kind's type.
fn scoped<K, S: ScopedApi<K>>(client: Client, namespace: &str) -> Api<K> {
    S::api(client, namespace)
}

trait ScopedApi<K> {
    fn api(client: Client, namespace: &str) -> Api<K>;
}

impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>> ScopedApi<K> for NamespaceResourceScope {
    fn api(client: Client, namespace: &str) -> Api<K> {
        if namespace.is_empty() { Api::all(client) } else { Api::namespaced(client, namespace) }
    }
}

impl<K: Resource<DynamicType = ()>> ScopedApi<K> for ClusterResourceScope {
    fn api(client: Client, _: &str) -> Api<K> {
        Api::all(client)
    }
}

macro_rules! kinds {
    ($($module:ident :: $kind:ident),* $(,)?) => {
        /// One object of any kind that plans create or update.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Object {
            $(#[doc = concat!("A `", stringify!($kind), "`.")] $kind(Box<$module::$kind>),)*
        }

        $(
            impl From<$module::$kind> for Object {
                fn from(object: $module::$kind) -> Self {
                    Self::$kind(Box::new(object))
                }
            }

            impl Kind for $module::$kind {
                fn api(client: Client, namespace: &str) -> Api<Self> {
                    scoped::<Self, <Self as k8s_openapi::Resource>::Scope>(client, namespace)
                }
            }
        )*

        /// Runs a block with the object inside an [`Object`], whatever its kind.
        macro_rules! with_object {
            ($object:expr, $inner:ident => $body:expr) => {
                match $object { $($crate::runner::Object::$kind($inner) => $body,)* }
            };
        }
        pub(crate) use with_object;
    };
}

kinds!(
    core::Pod,
    core::Node,
    core::Namespace,
    core::ServiceAccount,
    core::ConfigMap,
    core::Endpoints,
    core::Service,
    apps::ReplicaSet,
    apps::Deployment,
    discovery::EndpointSlice,
    coordination::Lease,
    resource::ResourceClaim,
    resource::ResourceClaimTemplate,
);

/// Names one object of any kind, for deletes and patches.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The resource it belongs to.
    pub resource: ApiResource,
    /// Its namespace (empty if cluster-scoped) and name.
    pub key: Key,
    /// Its uid; empty if any object of that name is meant.
    pub uid: String,
}

impl Target {
    /// The target that names this very object.
    pub fn of<K: Kind>(object: &K) -> Self {
        let uid = object.meta().uid.clone().unwrap_or_default();
        Self { resource: ApiResource::erase::<K>(&()), key: Key::of(object), uid }
    }
}

/// A reference to an object as events carry it.
pub fn reference<K: Kind>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// The owner reference of a controlling owner, which blocks the owner's foreground deletion.
pub fn controller_reference<K: Kind>(owner: &K) -> OwnerReference {
    let meta = owner.meta();
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The owner that controls an object.
pub fn controller_of<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object.meta().owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}
