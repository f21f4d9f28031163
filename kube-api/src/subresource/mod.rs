//! Parts of objects with rules of their own. They end in the registry's one path for changes.

mod binding;
mod eviction;
mod finalize;
mod scale;
mod token_request;

use bytes::Bytes;
use serde_json::Value;

use crate::auth::Authenticator;
use crate::decode::Decoded;
use crate::error::{Error, Result};
use crate::registry::{PatchType, Registry, Subject};
use crate::request::{Verb, WriteOptions};

/// What a request brings.
#[derive(Debug)]
pub(crate) enum Input {
    Nothing,
    Object(Decoded),
    Patch(PatchType, Bytes),
}

/// What it gets.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) value: Value,
    pub(crate) created: bool,
}

/// Carries out a request for a subresource other than `status`.
pub(crate) async fn handle(
    registry: &Registry,
    authenticator: &Authenticator,
    subject: &Subject,
    verb: &Verb,
    input: Input,
    options: &WriteOptions,
) -> Result<Output> {
    let part = subject.kind.subresource(&subject.subresource).ok_or(Error::UnknownResource)?;
    if !part.verbs.iter().any(|v| v == verb.as_str()) {
        return Err(Error::MethodNotAllowed);
    }
    match (subject.kind.plural.as_ref(), subject.subresource.as_str(), input) {
        (_, "scale", input) => scale::handle(registry, subject, input, options).await,
        ("pods", "binding", Input::Object(body)) => {
            binding::bind(registry, subject, body.value, options).await
        }
        ("pods", "eviction", Input::Object(body)) => eviction::evict(registry, subject, body.value).await,
        ("pods", "ephemeralcontainers" | "resize", input) => {
            finalize::pod_part(registry, subject, input, options).await
        }
        ("namespaces", "finalize", Input::Object(body)) => {
            finalize::namespace(registry, subject, body, options).await
        }
        ("serviceaccounts", "token", Input::Object(body)) => {
            token_request::issue(registry, authenticator, subject, body.value).await
        }
        _ => Err(Error::MethodNotAllowed),
    }
}

/// The answer to a write that clients expect from `binding` and `eviction`.
fn done() -> Output {
    let value = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Output { value, created: true }
}
