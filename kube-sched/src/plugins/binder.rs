//! Binding through the API server.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Binding as BindingObject, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::Error;
use crate::framework::{Bind, Binding, Plugin};

/// Posts a `Binding` to the pod's `binding` subresource.
#[derive(Debug, Clone, Copy)]
pub struct DefaultBinder;

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        "DefaultBinder"
    }

    fn as_bind(&self) -> Option<&dyn Bind> {
        Some(self)
    }
}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, client: &Client, binding: &Binding<'_>) -> Result<bool, Error> {
        let pod = binding.pod;
        let object = BindingObject {
            metadata: ObjectMeta {
                name: Some(pod.name().to_owned()),
                namespace: Some(pod.namespace().to_owned()),
                uid: Some(pod.uid.to_string()).filter(|uid| !uid.is_empty()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(binding.node.to_owned()),
                ..ObjectReference::default()
            },
        };
        let api: Api<Pod> = Api::namespaced(client.clone(), pod.namespace());
        let answer = api
            .create_subresource::<_, serde_json::Value>(
                "binding",
                pod.name(),
                &PostParams::default(),
                &object,
            )
            .await;
        answer.map(|_| true).map_err(|error| Error::from_api(&pod.key, error))
    }
}
