//! Objects without their types: each type would bring its whole schema into the program, for a handful of fields.

use k8s_openapi::NamespaceResourceScope;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::{Api, Client, Resource};
use serde_json::Value;

use super::Failure;

/// The objects of a kind in a namespace.
pub(super) fn namespaced<K>(client: &Client, namespace: &str) -> Api<DynamicObject>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()))
}

/// The objects of a kind in the whole cluster.
pub(super) fn all<K: Resource<DynamicType = ()>>(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &ApiResource::erase::<K>(&()))
}

/// Creates an object; whether it did not exist.
pub(super) async fn create(api: &Api<DynamicObject>, object: Value) -> Result<bool, Failure> {
    match api.create(&PostParams::default(), &serde_json::from_value(object)?).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
        created => Ok(created.map(|_| true)?),
    }
}
