//! The cells of the built-in kinds.

use jiff::Timestamp;
use serde_json::Value;

use super::{Printer, since};

/// The printer of a built-in kind; `None`: name and age only.
pub(super) fn printer(_group: &str, _kind: &str) -> Option<Printer> {
    None
}

pub(super) fn name(object: &Value) -> Value {
    object.pointer("/metadata/name").cloned().unwrap_or_else(|| "".into())
}

pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(object.pointer("/metadata/creationTimestamp"), now).into()
}
