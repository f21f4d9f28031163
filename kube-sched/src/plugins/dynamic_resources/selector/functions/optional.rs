//! Values that may be absent.

use std::sync::Arc;

use super::super::value::Value;
use super::{Answer, Function};

/// What is asked of an optional value. `or` and `orValue` are not here, because they look at the other value only if they must.
pub(super) fn call<'d>(function: Function, inner: Option<&Arc<Value<'d>>>, rest: &[Value<'d>]) -> Answer<'d> {
    Ok(match (function, rest, inner) {
        (Function::HasValue, [], inner) => Some(Value::Bool(inner.is_some())),
        (Function::InnerValue, [], Some(inner)) => Some((**inner).clone()),
        (Function::InnerValue, [], None) => return Err("optional.none() dereference".to_owned().into()),
        _ => None,
    })
}
