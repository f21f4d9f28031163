//! What is decided about a write between authorization and validation.
//!
//! A chain of [`Admission`] steps: each may change the new object, then, when it is complete, each may refuse it.

mod admin_access;
mod chain;
mod limit_range;
mod namespace;
mod node_taint;
mod pod_defaults;
mod runtime_class;
mod service_account;
mod tolerations;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::auth::User;
use crate::error::{Result, Target};
use crate::kinds::Kind;
use crate::registry::Subject;

pub(crate) use chain::builtin;

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// An object that goes.
    Delete,
}

/// A write under review.
#[derive(Debug)]
pub struct Review<'a> {
    /// What it does.
    pub operation: Operation,
    /// Of which kind the object is.
    pub kind: &'a Kind,
    /// Where it lies; empty for none.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Which part of it is written; empty for the whole.
    pub subresource: &'a str,
    /// Who writes.
    pub user: &'a User,
    /// Whether nothing is really written.
    pub dry_run: bool,
}

impl<'a> Review<'a> {
    pub(crate) fn new(operation: Operation, subject: &'a Subject, dry_run: bool) -> Self {
        Self {
            operation,
            kind: &subject.kind,
            namespace: &subject.namespace,
            name: &subject.name,
            subresource: &subject.subresource,
            user: &subject.user,
            dry_run,
        }
    }

    /// Whether this writes objects of this resource as a whole.
    pub fn is(&self, operation: Operation, group: &str, plural: &str) -> bool {
        self.operation == operation
            && self.kind.group == group
            && self.kind.plural == plural
            && self.subresource.is_empty()
    }

    /// How errors name the object.
    pub fn target(&self) -> Target {
        Target::new(self.kind.group.as_ref(), self.kind.plural.as_ref(), self.name)
    }
}

/// What steps may look up, in storage versions.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// One object; namespace empty for cluster-scoped kinds.
    async fn get(&self, group: &str, plural: &str, namespace: &str, name: &str)
    -> Result<Option<Arc<Value>>>;

    /// All objects of a kind in a namespace, or everywhere.
    async fn list(&self, group: &str, plural: &str, namespace: &str) -> Result<Vec<Arc<Value>>>;

    /// Five random letters.
    fn suffix(&self) -> String;
}

/// One step. By default it handles every write and does nothing.
#[async_trait]
pub trait Admission: Send + Sync + Debug + 'static {
    /// Whether this write concerns the step; the other methods are called only if it does.
    fn handles(&self, _review: &Review<'_>) -> bool {
        true
    }

    /// Changes a new object, or refuses it early.
    ///
    /// # Errors
    /// Usually [`crate::Error::Forbidden`].
    async fn admit(
        &self,
        _review: &Review<'_>,
        _object: &mut Value,
        _old: Option<&Value>,
        _lookup: &dyn Lookup,
    ) -> Result<()> {
        Ok(())
    }

    /// Refuses a write; the object is as it will be stored, `None` for a delete.
    ///
    /// # Errors
    /// Usually [`crate::Error::Forbidden`].
    async fn validate(
        &self,
        _review: &Review<'_>,
        _object: Option<&Value>,
        _old: Option<&Value>,
        _lookup: &dyn Lookup,
    ) -> Result<()> {
        Ok(())
    }
}
