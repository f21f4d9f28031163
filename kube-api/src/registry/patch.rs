//! Patching.

use bytes::Bytes;
use serde_json::Value;

use super::{Part, Proposal, Registry, Subject, Written};
use crate::decode::{self, MediaType};
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::patch::{PatchError, json_patch, merge_patch, strategic_merge};
use crate::request::WriteOptions;

/// The kinds of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
}

impl PatchType {
    pub(crate) fn from_content_type(header: &str) -> Result<Self> {
        match header.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => Err(Error::UnsupportedMediaType(
                "server-side apply is not supported by this server, apply on the client's side (kubectl apply)".to_owned(),
            )),
            _ => Err(Error::UnsupportedMediaType(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json".to_owned(),
            )),
        }
    }
}

impl Registry {
    /// Changes an object by a patch.
    pub(crate) async fn patch(
        &self,
        subject: &Subject,
        part: Part,
        patch: (PatchType, Bytes),
        options: &WriteOptions,
    ) -> Result<Written> {
        let kind = std::sync::Arc::clone(&subject.kind);
        let name = subject.name.clone();
        self.change(subject, part, options, move |current| apply(&kind, &name, current, patch.0, &patch.1))
            .await
    }
}

/// What a patch makes of an object.
pub(crate) fn apply(
    kind: &Kind,
    name: &str,
    current: &Value,
    patch_type: PatchType,
    patch: &Bytes,
) -> Result<Proposal> {
    if patch_type == PatchType::Json {
        let mut object = current.clone();
        json_patch(&mut object, patch).map_err(|e| refused(kind, name, &e))?;
        return Ok(object.into());
    }
    let body = decode::decode(patch, MediaType::Json)
        .map_err(|e| Error::bad_request(format!("error decoding patch: {e}")))?;
    if !body.value.is_object() {
        return Err(Error::bad_request(
            "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}",
        ));
    }
    let object = if patch_type == PatchType::Merge {
        let mut object = current.clone();
        merge_patch(&mut object, &body.value);
        object
    } else {
        strategic_merge(current, &body.value, &kind.schema).map_err(|e| refused(kind, name, &e))?
    };
    Ok(Proposal { object, duplicates: body.duplicates })
}

fn refused(kind: &Kind, name: &str, error: &PatchError) -> Error {
    match error {
        PatchError::TooMany { max, .. } => Error::TooLarge(*max),
        PatchError::Unprocessable(_) => Error::Invalid {
            kind: kind.kind.to_string(),
            group: kind.group.to_string(),
            name: name.to_owned(),
            errors: vec![crate::field::FieldError::invalid("patch", Value::Null, error.to_string())],
        },
        other => Error::bad_request(other),
    }
}
