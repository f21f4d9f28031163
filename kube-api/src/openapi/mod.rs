//! OpenAPI documents of the kinds that are served: version 3, one document per group and version, and version 2, one for all.
//!
//! kubectl reads them for `explain`, for client-side help with `apply`, and to see whether the server validates fields and
//! supports dry runs (the `fieldValidation` and `dryRun` parameters of the patch operation). Each document is built when it
//! is first asked for and kept; building the table of contents builds none of them.

mod flavor;
mod parameters;
mod paths;
mod schemas;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::kinds::{Kind, Kinds};
use flavor::Flavor;

/// The Kubernetes version whose schemas are embedded.
pub const VERSION: &str = "v1.35.0";

/// A document and the hash that names its content.
#[derive(Debug, Clone)]
pub struct Document {
    /// The JSON.
    pub bytes: Bytes,
    /// The hash that the table of contents links to; also the `ETag` (to be quoted).
    pub hash: String,
}

/// The documents of one table of kinds.
#[derive(Debug)]
pub struct OpenApi {
    kinds: Arc<Kinds>,
    index: OnceLock<Bytes>,
    v2: OnceLock<Document>,
    /// `api/v1`, `apis/apps/v1` to document.
    v3: BTreeMap<String, OnceLock<Document>>,
}

impl OpenApi {
    /// Documents of these kinds; cheap.
    pub fn new(kinds: Arc<Kinds>) -> Self {
        let v3 = kinds.iter().map(|kind| (place(kind), OnceLock::new())).collect();
        Self { kinds, index: OnceLock::new(), v2: OnceLock::new(), v3 }
    }

    /// `/openapi/v3`: where the documents are.
    pub fn v3_index(&self) -> Bytes {
        let build = || {
            let entry = |place: &String| {
                let url = format!("/openapi/v3/{place}?hash={}", self.hash(place));
                (place.clone(), json!({"serverRelativeURL": url}))
            };
            let paths: Map<String, Value> = self.v3.keys().map(entry).collect();
            Bytes::from(json!({"paths": paths}).to_string())
        };
        self.index.get_or_init(build).clone()
    }

    /// `/openapi/v3/{place}`, e.g. `api/v1` or `apis/apps/v1`. `None`: nothing is served there.
    pub fn v3(&self, place: &str) -> Option<&Document> {
        let slot = self.v3.get(place)?;
        Some(slot.get_or_init(|| {
            let kinds: Vec<&Kind> =
                self.kinds.iter().map(Arc::as_ref).filter(|k| self::place(k) == place).collect();
            Document { bytes: document(Flavor::V3, &kinds), hash: self.hash(place) }
        }))
    }

    /// `/openapi/v2`: everything in one document.
    pub fn v2(&self) -> &Document {
        self.v2.get_or_init(|| {
            let kinds: Vec<&Kind> = self.kinds.iter().map(Arc::as_ref).collect();
            Document { bytes: document(Flavor::V2, &kinds), hash: self.hash("") }
        })
    }

    /// Changes when a document would: with this crate's version (the embedded schemas) and with the rows. Hashing the
    /// document instead would mean to build all of them for the table of contents.
    fn hash(&self, place: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(env!("CARGO_PKG_VERSION"));
        for kind in self.kinds.iter().filter(|k| place.is_empty() || self::place(k) == place) {
            let row = (&kind.group, &kind.version, &kind.kind, &kind.plural, &kind.verbs, &kind.subresources);
            hasher.update(format!("{row:?}{:?}", kind.scope));
            if kind.schema.line.is_none() {
                hasher.update(format!("{:?}", kind.schema.get()));
            }
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

/// Where a kind's document is: `api/v1`, `apis/apps/v1`.
fn place(kind: &Kind) -> String {
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", kind.api_version())
}

fn document(flavor: Flavor, kinds: &[&Kind]) -> Bytes {
    let paths: Map<String, Value> = kinds.iter().flat_map(|kind| paths::paths(flavor, kind)).collect();
    let roots = kinds.iter().flat_map(|kind| paths::definitions(kind));
    let schemas = schemas::closure(flavor, roots);
    let info = json!({"title": "Kubernetes", "version": VERSION});
    let value = match flavor {
        Flavor::V2 => json!({"swagger": "2.0", "info": info, "paths": paths, "definitions": schemas}),
        Flavor::V3 => {
            json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}})
        }
    };
    Bytes::from(value.to_string())
}
