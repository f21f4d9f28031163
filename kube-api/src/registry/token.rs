//! Continue tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use kube_store::Revision;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Continue {
    /// Revision of the whole list.
    pub(super) revision: Revision,
    /// The last key of the page before.
    pub(super) after: Bytes,
}

impl Continue {
    pub(super) fn encode(&self, prefix: &[u8]) -> String {
        let after = self.after.strip_prefix(prefix).unwrap_or_default();
        let (prefix, after) = (String::from_utf8_lossy(prefix), String::from_utf8_lossy(after));
        URL_SAFE_NO_PAD
            .encode(json!({"v": "kube-api/v1", "rv": self.revision, "p": prefix, "a": after}).to_string())
    }

    /// A token is only good for the very list that it came from.
    pub(super) fn decode(token: &str, prefix: &[u8]) -> Result<Self> {
        let invalid = |why: &str| Error::bad_request(format!("continue key is not valid: {why}"));
        if token.len() > 4096 {
            return Err(invalid("too long"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|e| invalid(&e.to_string()))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| invalid(&e.to_string()))?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("v") != "kube-api/v1" {
            return Err(invalid("server does not recognize this encoded version"));
        }
        if text("p").as_bytes() != prefix {
            return Err(invalid("it belongs to another list"));
        }
        let revision = value
            .get("rv")
            .and_then(Value::as_i64)
            .filter(|r| *r > 0)
            .ok_or_else(|| invalid("incorrect encoded start resourceVersion"))?;
        if text("a").is_empty() || text("a").split('/').any(|part| part == "..") {
            return Err(invalid("invalid encoded start key"));
        }
        Ok(Self { revision, after: Bytes::from([prefix, text("a").as_bytes()].concat()) })
    }
}
