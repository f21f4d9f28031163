//! JSON patch, RFC 6902.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::PatchError;

/// The most operations one patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// What copy operations may add up to, in nodes, so that doubling copies cannot grow an object without bound.
const MAX_COPIED_NODES: usize = 1_000_000;

/// Applies a list of operations; on error the target is left as it was.
///
/// # Errors
/// [`PatchError::Malformed`] when it is not a list of operations, [`PatchError::TooMany`] above [`MAX_OPERATIONS`],
/// [`PatchError::Unprocessable`] when an operation fails.
pub fn json_patch(target: &mut Value, patch: &[u8]) -> Result<(), PatchError> {
    let operations: Vec<Value> = serde_json::from_slice(patch)
        .map_err(|e| PatchError::Malformed(format!("error decoding patch: {e}")))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooMany { max: MAX_OPERATIONS, got: operations.len() });
    }
    let patch: Patch = serde_json::from_value(Value::Array(operations))
        .map_err(|e| PatchError::Malformed(format!("error decoding patch: {e}")))?;
    let mut result = target.clone();
    let mut copied = 0;
    for operation in &patch.0 {
        if let PatchOperation::Copy(copy) = operation {
            copied += result.pointer(copy.from.as_str()).map_or(0, nodes);
            if copied > MAX_COPIED_NODES {
                let text = "unable to apply patch: the copies grow the object beyond its limit";
                return Err(PatchError::Unprocessable(text.to_owned()));
            }
        }
        json_patch::patch(&mut result, std::slice::from_ref(operation)).map_err(|e| failed(operation, &e))?;
    }
    *target = result;
    Ok(())
}

fn failed(operation: &PatchOperation, error: &json_patch::PatchError) -> PatchError {
    let path = operation.path();
    PatchError::Unprocessable(match operation {
        PatchOperation::Test(_) => format!("testing value {path} failed: test failed"),
        PatchOperation::Remove(_) => {
            format!("remove operation does not apply: doc is missing path: {path}: missing value")
        }
        PatchOperation::Replace(_) => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        PatchOperation::Add(_) => {
            format!("add operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        _ => error.to_string(),
    })
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        Value::String(text) => text.len() / 64,
        _ => 0,
    }
}
