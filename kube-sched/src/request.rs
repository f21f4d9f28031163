//! Writing to the API server, without a type for each kind: the compiler would make a client for each.

use futures::io::{copy_buf, sink};
use kube::Client;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use kube::core::request::Error;
use serde_json::Value;

/// The objects of one kind in one namespace.
pub(crate) struct Objects<'a> {
    client: &'a Client,
    path: Request,
}

impl<'a> Objects<'a> {
    pub(crate) fn pods(client: &'a Client, namespace: &str) -> Self {
        Self::at(client, format!("/api/v1/namespaces/{namespace}/pods"))
    }

    pub(crate) fn claims(client: &'a Client, namespace: &str) -> Self {
        Self::at(client, format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"))
    }

    pub(crate) fn device_claims(client: &'a Client, namespace: &str) -> Self {
        Self::at(client, format!("/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims"))
    }

    pub(crate) fn volumes(client: &'a Client) -> Self {
        Self::at(client, "/api/v1/persistentvolumes".to_owned())
    }

    pub(crate) fn events(client: &'a Client, namespace: &str) -> Self {
        Self::at(client, format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"))
    }

    fn at(client: &'a Client, path: String) -> Self {
        Self { client, path: Request::new(path) }
    }

    /// The object as the server writes it.
    pub(crate) async fn get(&self, name: &str) -> kube::Result<String> {
        self.send(self.path.get(name, &GetParams::default())).await
    }

    pub(crate) async fn create(&self, object: &Value) -> kube::Result<()> {
        self.tell(self.path.create(&PostParams::default(), object.to_string().into_bytes())).await
    }

    pub(crate) async fn create_binding(&self, name: &str, binding: &Value) -> kube::Result<()> {
        let body = binding.to_string().into_bytes();
        self.tell(self.path.create_subresource("binding", name, &PostParams::default(), body)).await
    }

    /// Merges a patch into an object (RFC 7386).
    pub(crate) async fn merge(&self, name: &str, patch: Value) -> kube::Result<()> {
        self.tell(self.path.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await
    }

    /// As [`merge`](Self::merge); returns the object as it is then.
    pub(crate) async fn merge_to(&self, name: &str, patch: Value) -> kube::Result<String> {
        self.send(self.path.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await
    }

    /// Merges a patch into an object's status; returns the object as it is then.
    pub(crate) async fn merge_status(&self, name: &str, patch: Value) -> kube::Result<String> {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.send(self.path.patch_subresource("status", name, &params, &patch)).await
    }

    /// Patches an object's status by the rules of its kind.
    pub(crate) async fn patch_status(&self, name: &str, patch: Value) -> kube::Result<()> {
        let (params, patch) = (PatchParams::default(), Patch::Strategic(patch));
        self.tell(self.path.patch_subresource("status", name, &params, &patch)).await
    }

    /// Deletes the object with this UID; an empty one stands for any.
    pub(crate) async fn delete(&self, name: &str, uid: &str) -> kube::Result<()> {
        let uid = Some(uid.to_owned()).filter(|uid| !uid.is_empty());
        let preconditions = Some(Preconditions { uid, resource_version: None });
        self.tell(self.path.delete(name, &DeleteParams { preconditions, ..DeleteParams::default() })).await
    }

    /// Sends a request of which only the success matters. The object in the answer goes as it comes: to make a text of each was a
    /// part of what a binding costs.
    async fn tell(&self, request: Result<http::Request<Vec<u8>>, Error>) -> kube::Result<()> {
        let answer = self.client.request_stream(request.map_err(kube::Error::BuildRequest)?).await?;
        copy_buf(answer, &mut sink()).await.map(drop).map_err(kube::Error::ReadEvents)
    }

    async fn send(&self, request: Result<http::Request<Vec<u8>>, Error>) -> kube::Result<String> {
        self.client.request_text(request.map_err(kube::Error::BuildRequest)?).await
    }
}
