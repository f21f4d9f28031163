//! Binding through the API server.

use async_trait::async_trait;
use kube::Client;
use serde_json::json;

use crate::Error;
use crate::framework::{Bind, Binding, Plugin};
use crate::request::Objects;

/// Posts a `Binding` to the pod's `binding` subresource.
#[derive(Debug, Clone, Copy)]
pub struct DefaultBinder;

impl DefaultBinder {
    /// The plugin's name.
    pub(crate) const NAME: &str = "DefaultBinder";
}

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(Bind);
}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, client: &Client, binding: &Binding<'_>) -> Result<bool, Error> {
        let pod = binding.pod;
        let uid = Some(&*pod.uid).filter(|uid| !uid.is_empty());
        let object = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name(), "namespace": pod.namespace(), "uid": uid},
            "target": {"kind": "Node", "name": binding.node},
        });
        let answer = Objects::pods(client, pod.namespace()).create_binding(pod.name(), &object).await;
        answer.map(|()| true).map_err(|error| Error::from_api(&pod.key, error))
    }
}
