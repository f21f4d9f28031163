//! Request bodies to values: JSON, YAML and Kubernetes' protobuf, with every duplicate key recorded.
//!
//! A decoded body is a [`serde_json::Value`] in which the last of duplicate keys won, plus the paths of the duplicates, so
//! that the caller can warn or refuse ([`crate::schema::FieldValidation`]). Nesting and YAML aliases are bounded.

mod json;
mod media;
mod protobuf;
mod yaml;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use media::MediaType;

/// A decoded body.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The value; the last of duplicate keys won.
    pub value: Value,
    /// Paths of keys that occurred more than once, in document order: `spec.containers[0].image`.
    pub duplicates: Vec<String>,
}

/// A body that is not what its content type says. The caller answers 400 BadRequest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The JSON is malformed; the text is close to what Go's decoder says.
    #[error("{0}")]
    Json(String),
    /// The YAML is malformed or exceeds the budget for nesting and aliases.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(String),
}

/// Decodes one document.
///
/// # Errors
/// [`DecodeError`] when the body is malformed or nested too deeply (128 levels).
///
/// ```
/// use kube_api::decode::{decode, MediaType};
/// let body = decode(br#"{"a": {"b": 1, "b": 2}}"#, MediaType::Json)?;
/// assert_eq!(body.value["a"]["b"], 2);
/// assert_eq!(body.duplicates, ["a.b"]);
/// # Ok::<(), kube_api::decode::DecodeError>(())
/// ```
pub fn decode(body: &[u8], media: MediaType) -> Result<Decoded, DecodeError> {
    match media {
        MediaType::Json => json::decode(body),
        MediaType::Yaml => yaml::decode(body),
        MediaType::Protobuf => protobuf::decode(body),
    }
}
