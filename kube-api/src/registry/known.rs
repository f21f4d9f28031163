//! Objects that are looked up with every write, decoded once for each of their versions.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kube_store::{KeyValue, Revision};
use parking_lot::Mutex;
use serde_json::Value;

use super::Stored;
use crate::error::Result;
use crate::kinds::Kind;

/// Objects that are kept; when there are more, all are forgotten and the wanted ones soon known again.
const MAX_OBJECTS: usize = 512;
/// Objects that are larger are decoded each time, in bytes.
const MAX_SIZE: usize = 8 * 1024;

/// The decoded objects by key, each with the revision that it is of: whoever looks one up has just read it from the store, so none
/// is ever out of date.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Bytes, (Revision, Arc<Value>)>>);

impl Known {
    /// What was read from the store, in the version of `kind`, which is always the same for a key.
    pub(super) fn value(&self, kind: &Kind, read: KeyValue) -> Result<Arc<Value>> {
        if let Some((revision, value)) = self.0.lock().get(&read.key)
            && *revision == read.mod_revision
        {
            return Ok(Arc::clone(value));
        }
        let (key, revision, size) = (read.key.clone(), read.mod_revision, read.value.len());
        let value = Arc::new(Stored::from(read).value(kind)?);
        if size <= MAX_SIZE {
            let mut known = self.0.lock();
            if known.len() >= MAX_OBJECTS {
                known.clear();
            }
            known.insert(key, (revision, Arc::clone(&value)));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn read(name: usize, revision: Revision, size: usize) -> KeyValue {
        let object = json!({"kind": "ConfigMap", "metadata": {"name": name.to_string()}, "data": {"a": "x".repeat(size)}});
        KeyValue {
            key: name.to_string().into(),
            value: crate::object::encode(&object).unwrap(),
            mod_revision: revision,
            ..KeyValue::default()
        }
    }

    #[test]
    fn an_object_is_decoded_once_in_each_version() {
        let (known, kind) =
            (Known::default(), Arc::clone(Kinds::builtin().find("", "v1", "configmaps").unwrap()));
        let value = |revision, size| known.value(&kind, read(1, revision, size)).unwrap();
        assert!(Arc::ptr_eq(&value(1, 1), &value(1, 1)));
        assert_eq!(value(2, 3)["data"]["a"], "xxx");
        assert!(!Arc::ptr_eq(&value(3, MAX_SIZE), &value(3, MAX_SIZE)), "too large to be kept");
    }

    #[test]
    fn not_more_than_some_are_kept() {
        let (known, kind) =
            (Known::default(), Arc::clone(Kinds::builtin().find("", "v1", "configmaps").unwrap()));
        for name in 0..3 * MAX_OBJECTS {
            known.value(&kind, read(name, 1, 1)).unwrap();
            assert!(known.0.lock().len() <= MAX_OBJECTS);
        }
    }
}
