//! NamespaceLifecycle: objects are created only in namespaces that exist and stay.

use async_trait::async_trait;
use serde_json::Value;

use super::{Admission, Lookup, Operation, Review};
use crate::error::{Error, Result, Target};
use crate::object::{is_deleting, text};

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

#[derive(Debug)]
pub(super) struct NamespaceLifecycle;

#[async_trait]
impl Admission for NamespaceLifecycle {
    async fn admit(
        &self,
        review: &Review<'_>,
        _object: &mut Value,
        _old: Option<&Value>,
        lookup: &dyn Lookup,
    ) -> Result<()> {
        if review.operation != Operation::Create || review.namespace.is_empty() {
            return Ok(());
        }
        let name = review.namespace;
        let Some(namespace) = lookup.get("", "namespaces", "", name).await? else {
            return Err(Error::NotFound(Target::new("", "namespaces", name)));
        };
        if is_deleting(&namespace) || text(&namespace, "/status/phase") == "Terminating" {
            let reason =
                format!("unable to create new content in namespace {name} because it is being terminated");
            let terminating = Some(name.to_owned());
            return Err(Error::Forbidden { target: review.target(), detail: reason, terminating });
        }
        Ok(())
    }

    async fn validate(
        &self,
        review: &Review<'_>,
        _object: Option<&Value>,
        _old: Option<&Value>,
        _lookup: &dyn Lookup,
    ) -> Result<()> {
        if review.is(Operation::Delete, "", "namespaces") && IMMORTAL.contains(&review.name) {
            return Err(Error::forbidden(review.target(), "this namespace may not be deleted"));
        }
        Ok(())
    }
}
