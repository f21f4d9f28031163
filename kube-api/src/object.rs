//! Objects as bytes.
//!
//! An object is stored as the JSON that clients read, less its `resourceVersion`, which the store only knows once the write
//! is done. Encoding puts `kind`, `apiVersion` and `metadata` first, so that the version can be spliced in at the first
//! `"metadata":{` without parsing anything; it is done once, when the object enters a watch cache.

use bytes::{BufMut, Bytes, BytesMut};
use kube_store::Revision;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

const METADATA: &[u8] = b"\"metadata\":{";
/// What metadata begins with once the version is in it.
const VERSION: &[u8] = b"\"resourceVersion\":\"";
/// What stored objects begin with, in this order.
const FIRST: [&str; 3] = ["kind", "apiVersion", "metadata"];
/// What metadata is stored without.
const UNKEPT: [&str; 2] = ["resourceVersion", "selfLink"];

/// Encodes an object for the store; its `resourceVersion` is left out.
pub(crate) fn encode(object: &Value) -> Result<Bytes> {
    let map = object.as_object().ok_or_else(|| Error::internal("not an object"))?;
    let mut out = Vec::with_capacity(4096);
    write_first(&mut out, map).map_err(Error::internal)?;
    for (key, value) in map.iter().filter(|(key, _)| !FIRST.contains(&key.as_str())) {
        out.push(b',');
        write_field(&mut out, key, value).map_err(Error::internal)?;
    }
    out.push(b'}');
    // What is kept for as long as the object is there takes no more room than it needs.
    Ok(Bytes::copy_from_slice(&out))
}

/// Begins an object with the fields that come first, and leaves out of its metadata what is never kept.
fn write_first(out: &mut Vec<u8>, map: &Map<String, Value>) -> serde_json::Result<()> {
    let mut open = b'{';
    for key in FIRST {
        out.push(std::mem::replace(&mut open, b','));
        match map.get(key) {
            Some(Value::Object(metadata)) if key == "metadata" => {
                out.extend_from_slice(METADATA);
                let kept = metadata.iter().filter(|(key, _)| !UNKEPT.contains(&key.as_str()));
                for (at, (key, value)) in kept.enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_field(out, key, value)?;
                }
                out.push(b'}');
            }
            value => write_field(out, key, value.unwrap_or(&Value::Null))?,
        }
    }
    Ok(())
}

fn write_field(out: &mut Vec<u8>, key: &str, value: &Value) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, key)?;
    out.push(b':');
    serde_json::to_writer(out, value)
}

/// Stored bytes with `prefix` before, the version in the metadata and `suffix` after.
pub(crate) fn splice(stored: &[u8], revision: Revision, prefix: &[u8], suffix: &[u8]) -> Bytes {
    let (head, tail) = stored.split_at(metadata_start(stored));
    join(prefix, head, revision, tail, suffix)
}

/// The bytes that a client reads with another version, `prefix` before and `suffix` after.
pub(crate) fn with_other_version(served: &[u8], revision: Revision, prefix: &[u8], suffix: &[u8]) -> Bytes {
    let (head, tail) = served.split_at(metadata_start(served));
    let rest = tail.strip_prefix(VERSION).and_then(|rest| {
        let (at, _) = rest.iter().enumerate().find(|(_, byte)| **byte == b'"')?;
        let rest = rest.get(at + 1..)?;
        Some(rest.strip_prefix(b",").unwrap_or(rest))
    });
    join(prefix, head, revision, rest.unwrap_or(tail), suffix)
}

/// Where the first field of the metadata begins; 0 if there are none.
fn metadata_start(object: &[u8]) -> usize {
    object.windows(METADATA.len()).position(|w| w == METADATA).map_or(0, |at| at + METADATA.len())
}

fn join(prefix: &[u8], head: &[u8], revision: Revision, tail: &[u8], suffix: &[u8]) -> Bytes {
    let version = if head.is_empty() { String::new() } else { version_field(revision, tail) };
    let length = prefix.len() + head.len() + version.len() + tail.len() + suffix.len();
    let mut out = BytesMut::with_capacity(length);
    for part in [prefix, head, version.as_bytes(), tail, suffix] {
        out.put_slice(part);
    }
    out.freeze()
}

fn version_field(revision: Revision, tail: &[u8]) -> String {
    let comma = if tail.first() == Some(&b'}') { "" } else { "," };
    format!("\"resourceVersion\":\"{revision}\"{comma}")
}

/// Stored bytes as the client reads them.
pub(crate) fn with_version(stored: &[u8], revision: Revision) -> Bytes {
    splice(stored, revision, b"", b"")
}

/// Stored bytes as a value with its version.
pub(crate) fn decode(stored: &[u8], revision: Revision) -> Result<Value> {
    let mut object: Value =
        serde_json::from_slice(stored).map_err(|e| Error::internal(format!("stored object: {e}")))?;
    set_version(&mut object, revision);
    Ok(object)
}

/// Writes the version into the metadata.
pub(crate) fn set_version(object: &mut Value, revision: Revision) {
    set_meta(object, "resourceVersion", revision.to_string());
}

/// A text of the metadata, empty when absent.
pub(crate) fn meta<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// The version that a client insists on; "0" is any, as none is.
pub(crate) fn given_version(object: &Value) -> Option<&str> {
    Some(meta(object, "resourceVersion")).filter(|version| !matches!(*version, "" | "0"))
}

/// The metadata for writing; it is created when absent.
pub(crate) fn meta_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let map = object.as_object_mut()?;
    let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut()
}

/// Sets a field of the metadata.
pub(crate) fn set_meta(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(metadata) = meta_mut(object) {
        metadata.insert(key.to_owned(), value.into());
    }
}

/// Removes a field of the metadata.
pub(crate) fn clear_meta(object: &mut Value, key: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(key);
    }
}

/// Whether the object is being deleted.
pub(crate) fn is_deleting(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

/// A list of texts in the metadata.
pub(crate) fn meta_list<'v>(object: &'v Value, key: &str) -> Vec<&'v str> {
    let list = object.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The text at a JSON pointer, empty when absent.
pub(crate) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_version_is_spliced_into_the_metadata_and_nowhere_else() {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"metadata": "\"metadata\":{"},
            "metadata": {"name": "a", "resourceVersion": "3", "annotations": {"metadata": "{}"}},
        });
        let stored = encode(&object).unwrap();
        assert!(!stored.windows(15).any(|w| w == b"resourceVersion"));
        let served: Value = serde_json::from_slice(&with_version(&stored, 7)).unwrap();
        let mut expected = object;
        expected["metadata"]["resourceVersion"] = json!("7");
        assert_eq!(served, expected);
    }

    #[test]
    fn a_version_takes_the_place_of_another() {
        for metadata in [json!({"name": "a", "labels": {"resourceVersion": "1"}}), json!({})] {
            let stored = encode(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})).unwrap();
            let later = with_other_version(&with_version(&stored, 9), 10, b"<", b">");
            assert_eq!(later, [b"<", &*with_version(&stored, 10), b">"].concat());
        }
    }
}
