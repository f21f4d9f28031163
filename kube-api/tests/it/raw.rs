//! Raw requests.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube_api::{ApiServer, AsUser, Body, Config, User};
use kube_store::MemoryStore;
use serde_json::Value;
use tower::ServiceExt;

/// A server over a store of its own and one who may do everything there.
pub(crate) struct Admin {
    pub(crate) server: ApiServer,
    service: AsUser,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {:?}", self.bytes))
    }

    /// Code, reason and message of a `Status`.
    pub(crate) fn status(&self) -> (u16, String, String) {
        let status = self.json();
        let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        (self.code, text("reason"), text("message"))
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.code), "{self:?}");
        self.json()
    }
}

pub(crate) async fn admin() -> Admin {
    Admin::with(Config::default()).await
}

impl Admin {
    pub(crate) async fn with(config: Config) -> Self {
        let server = ApiServer::builder(Arc::new(MemoryStore::new())).config(config).build().await.unwrap();
        Self { service: server.as_user(User::admin()), server }
    }

    pub(crate) async fn client(&self) -> kube::Client {
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        self.post(accounts, serde_json::json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})).await;
        kube::Client::new(self.service.clone(), "default")
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Body> {
        self.service.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        target: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        collect(self.send(request.body(Full::new(body.into())).unwrap()).await).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.call(Method::GET, target, "", "").await
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Answer {
        self.call(Method::POST, target, "application/json", body.to_string()).await
    }

    pub(crate) async fn put(&self, target: &str, body: Value) -> Answer {
        self.call(Method::PUT, target, "application/json", body.to_string()).await
    }

    pub(crate) async fn patch(&self, target: &str, kind: &str, body: Value) -> Answer {
        self.call(Method::PATCH, target, &format!("application/{kind}+json"), body.to_string()).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.call(Method::DELETE, target, "", "").await
    }
}

pub(crate) async fn collect(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer { code: parts.status.as_u16(), headers: parts.headers, bytes }
}
