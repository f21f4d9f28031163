//! Tables and metadata-only objects.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::kinds::Kind;

/// What a table row carries besides its cells (the `includeObject` parameter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The object's metadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// The value of the query parameter; empty means `Metadata`. `None`: not a valid value.
    pub fn from_parameter(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::None),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// A `meta.k8s.io/v1` Table of these objects. `metadata` is the list's (resourceVersion, continue, remainingItemCount), or for
/// a single object `{"resourceVersion": …}`. Watches pass `headings` for the first event only.
pub fn table<'v>(
    kind: &Kind,
    objects: impl IntoIterator<Item = &'v Value>,
    metadata: Value,
    include: IncludeObject,
    now: Timestamp,
    headings: bool,
) -> Value {
    let rows: Vec<Value> = objects.into_iter().map(|object| row(kind, object, include, now)).collect();
    let mut value = json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": null,
        "rows": rows,
    });
    if headings {
        value["columnDefinitions"] = columns(kind);
    }
    value
}

fn columns(kind: &Kind) -> Value {
    let column = |c: &super::Column| json!({"name": c.name, "type": c.ty, "format": c.format, "description": c.description, "priority": c.priority});
    kind.printer.columns().iter().map(column).collect()
}

fn row(kind: &Kind, object: &Value, include: IncludeObject, now: Timestamp) -> Value {
    let mut row = Map::new();
    row.insert("cells".to_owned(), Value::Array(kind.printer.cells(object, now)));
    let carried = match include {
        IncludeObject::None => None,
        IncludeObject::Metadata => Some(partial_object(object)),
        IncludeObject::Object => Some(object.clone()),
    };
    if let Some(object) = carried {
        row.insert("object".to_owned(), object);
    }
    Value::Object(row)
}

/// The object's metadata as a `PartialObjectMetadata`.
pub fn partial_object(object: &Value) -> Value {
    let metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

/// A `PartialObjectMetadataList` of these objects under the list's metadata.
pub fn partial_list<'v>(objects: impl IntoIterator<Item = &'v Value>, metadata: Value) -> Value {
    let items: Vec<Value> = objects.into_iter().map(partial_object).collect();
    json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
}
