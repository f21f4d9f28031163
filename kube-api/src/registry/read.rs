//! Reading one object.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kube_store::{KeyValue, Revision, StoreExt};
use serde_json::Value;

use super::{Registry, Subject, keys};
use crate::admission::Lookup;
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::object;

/// An object as it is in the store.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    pub(crate) revision: Revision,
    pub(crate) lease: i64,
}

impl Stored {
    /// The object in the version of `kind`.
    pub(crate) fn value(&self, kind: &Kind) -> Result<Value> {
        let mut value = object::decode(&self.bytes, self.revision)?;
        kind.from_storage(&mut value);
        Ok(value)
    }

    /// The bytes that a client of `kind` reads.
    pub(crate) fn served(&self, kind: &Kind) -> Result<Bytes> {
        if !kind.converts() {
            return Ok(object::with_version(&self.bytes, self.revision));
        }
        Ok(object::with_version(&object::encode(&self.value(kind)?)?, self.revision))
    }
}

impl From<KeyValue> for Stored {
    fn from(kv: KeyValue) -> Self {
        Self { bytes: kv.value, revision: kv.mod_revision, lease: kv.lease }
    }
}

impl Registry {
    /// The object, if it exists.
    pub(crate) async fn find(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Option<Stored>> {
        let kv = self.store.get(keys::key(kind, namespace, name)).await?;
        Ok(kv.map(Stored::from))
    }

    /// The object.
    pub(crate) async fn get(&self, subject: &Subject) -> Result<Stored> {
        let found = self.find(&subject.kind, &subject.namespace, &subject.name).await?;
        found.ok_or_else(|| Error::NotFound(subject.target()))
    }

    /// The object of a built-in kind in its storage version, if it exists.
    pub(crate) async fn lookup(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>> {
        let Some(kind) = self.kinds.iter().find(|k| k.group == group && k.plural == plural) else {
            return Ok(None);
        };
        let found = self.store.get(keys::key(kind, namespace, name)).await?;
        found.map(|kv| self.known.value(kind, kv)).transpose()
    }
}

#[async_trait]
impl Lookup for Registry {
    async fn get(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>> {
        self.lookup(group, plural, namespace, name).await
    }

    /// They come from the store: the watch cache would first have to be told that nothing of the kind has changed lately.
    async fn list(&self, group: &str, plural: &str, namespace: &str) -> Result<Vec<Arc<Value>>> {
        let Some(kind) = self.kinds.iter().find(|k| k.group == group && k.plural == plural) else {
            return Ok(Vec::new());
        };
        let range = self.store.list(keys::prefix(kind, namespace)).await?;
        range.kvs.into_iter().map(|kv| self.known.value(kind, kv)).collect()
    }

    fn suffix(&self) -> String {
        Self::suffix(self)
    }
}
