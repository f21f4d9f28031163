//! Strategic merge patch: a merge patch that knows which lists are keyed.
//!
//! The directives are `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/LIST` and
//! `$deleteFromPrimitiveList/LIST`. Keys and strategies come from the schema; where there is no schema (below maps of
//! anything, in unknown fields) lists are replaced.

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::{Definition, PatchStrategy, Schema, Type};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

type Object = Map<String, Value>;

/// What `patch` makes of an object of this definition.
///
/// # Errors
/// [`PatchError::Malformed`] when a directive is not valid or an element lacks its merge key.
pub fn strategic_merge(object: &Value, patch: &Value, definition: &Definition) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed(
            "cannot unmarshal non-object into Go value of type map[string]interface {}".into(),
        ));
    };
    let mut merged = object.as_object().cloned().unwrap_or_default();
    merge_object(&mut merged, patch, Shape::Struct(definition))?;
    Ok(Value::Object(merged))
}

/// What is known about the object at hand.
#[derive(Clone, Copy)]
enum Shape<'s> {
    Struct(&'s Definition),
    /// A map whose values look like this.
    Map(&'s Schema),
    Unknown,
}

impl<'s> Shape<'s> {
    fn of(schema: Option<&'s Schema>) -> Self {
        match schema.map(|s| &s.ty) {
            Some(Type::Struct(definition)) if definition.scalar.is_none() => Self::Struct(definition.get()),
            Some(Type::Map(values)) => Self::Map(values),
            _ => Self::Unknown,
        }
    }

    fn field(self, name: &str) -> Option<&'s Schema> {
        match self {
            Self::Struct(definition) => definition.property(name).map(|p| &p.schema),
            Self::Map(values) => Some(values),
            Self::Unknown => None,
        }
    }
}

fn malformed(text: String) -> PatchError {
    PatchError::Malformed(text)
}

fn merge_object(target: &mut Object, patch: &Object, shape: Shape<'_>) -> Result<(), PatchError> {
    match patch.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => {
            *target = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some(other) => return Err(malformed(format!("unknown patch type found: {other}"))),
    }
    retain_keys(target, patch)?;
    for (key, value) in patch {
        if key == DIRECTIVE || key == RETAIN {
            continue;
        }
        if let Some(list) = key.strip_prefix(DELETE) {
            delete_primitives(target, list, value)?;
        } else if let Some(list) = key.strip_prefix(ORDER) {
            if !patch.contains_key(list) {
                merge_field(target, list, &Value::Array(Vec::new()), patch, shape)?;
            }
        } else {
            merge_field(target, key, value, patch, shape)?;
        }
    }
    Ok(())
}

fn retain_keys(target: &mut Object, patch: &Object) -> Result<(), PatchError> {
    let Some(retain) = patch.get(RETAIN) else { return Ok(()) };
    let Value::Array(keys) = retain else {
        return Err(malformed("retainKeys must be a list".to_owned()));
    };
    for key in patch.keys().filter(|k| !k.starts_with('$')) {
        if !keys.iter().any(|k| k == key) {
            return Err(malformed(format!("{key} should be in $retainKeys list")));
        }
    }
    target.retain(|key, _| keys.iter().any(|k| k == key));
    Ok(())
}

fn delete_primitives(target: &mut Object, list: &str, values: &Value) -> Result<(), PatchError> {
    let Value::Array(values) = values else {
        return Err(malformed(format!("{DELETE}{list} must be a list")));
    };
    if let Some(Value::Array(items)) = target.get_mut(list) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn merge_field(
    target: &mut Object,
    key: &str,
    value: &Value,
    patch: &Object,
    shape: Shape<'_>,
) -> Result<(), PatchError> {
    let schema = shape.field(key);
    match value {
        Value::Null => {
            target.remove(key);
        }
        Value::Object(inner) if schema.is_none_or(|s| !s.patch.replace) => {
            let is_delete = inner.get(DIRECTIVE).is_some_and(|d| d == "delete");
            if is_delete {
                target.remove(key);
                return Ok(());
            }
            let slot = target.entry(key).or_insert(Value::Null);
            let mut object = match slot.take() {
                Value::Object(object) => object,
                _ => Map::new(),
            };
            merge_object(&mut object, inner, Shape::of(schema))?;
            *slot = Value::Object(object);
        }
        Value::Array(items) => {
            let order = patch.get(&format!("{ORDER}{key}"));
            let merged = merge_list(target.remove(key), items, order, schema)?;
            if let Some(merged) = merged {
                target.insert(key.to_owned(), merged);
            }
        }
        other => {
            target.insert(key.to_owned(), other.clone());
        }
    }
    Ok(())
}

/// The list after the patch; `None` when there is none.
fn merge_list(
    before: Option<Value>,
    patch: &[Value],
    order: Option<&Value>,
    schema: Option<&Schema>,
) -> Result<Option<Value>, PatchError> {
    let strategy = schema.map_or(PatchStrategy::default(), |s| s.patch);
    if !strategy.merge || strategy.replace {
        return Ok(Some(Value::Array(patch.iter().map(strip).collect())));
    }
    let mut items = match before {
        Some(Value::Array(items)) => items,
        None if patch.is_empty() && order.is_some() => return Ok(None),
        _ => Vec::new(),
    };
    match schema.and_then(|s| s.merge_key.as_deref()) {
        Some(key) => merge_keyed(&mut items, patch, key, item_shape(schema))?,
        None => {
            for value in patch.iter().filter(|v| !v.is_null()) {
                if !items.contains(value) {
                    items.push(value.clone());
                }
            }
        }
    }
    if let Some(Value::Array(order)) = order {
        let key = schema.and_then(|s| s.merge_key.as_deref());
        sort_by_order(&mut items, order, key);
    }
    Ok(Some(Value::Array(items)))
}

fn item_shape(schema: Option<&Schema>) -> Shape<'_> {
    match schema.map(|s| &s.ty) {
        Some(Type::List(item)) => Shape::of(Some(item)),
        _ => Shape::Unknown,
    }
}

fn merge_keyed(
    items: &mut Vec<Value>,
    patch: &[Value],
    key: &str,
    shape: Shape<'_>,
) -> Result<(), PatchError> {
    let replaces = |item: &Value| item.get(DIRECTIVE).is_some_and(|d| d == "replace");
    if patch.iter().any(replaces) {
        *items = patch.iter().filter(|i| !is_bare_replace(i)).map(strip).collect();
        return Ok(());
    }
    for element in patch {
        let Value::Object(element) = element else {
            return Err(malformed(format!("expected a map with merge key {key} as list element")));
        };
        let id = element.get(key).ok_or_else(|| {
            malformed(format!("map: {} does not contain declared merge key: {key}", show(element)))
        })?;
        let at = items.iter().position(|item| item.get(key) == Some(id));
        match (element.get(DIRECTIVE).and_then(Value::as_str), at) {
            (Some("delete"), Some(_)) => items.retain(|item| item.get(key) != Some(id)),
            (Some("delete"), None) => {}
            (None | Some("merge"), Some(at)) => {
                if let Some(Value::Object(item)) = items.get_mut(at) {
                    merge_object(item, element, shape)?;
                }
            }
            (None | Some("merge"), None) => {
                let mut item = Map::new();
                merge_object(&mut item, element, shape)?;
                items.push(Value::Object(item));
            }
            (Some(other), _) => return Err(malformed(format!("unknown patch type found: {other}"))),
        }
    }
    Ok(())
}

/// `{"$patch": "replace"}` alone only announces that the list is replaced.
fn is_bare_replace(item: &Value) -> bool {
    item.as_object().is_some_and(|o| o.len() == 1 && o.contains_key(DIRECTIVE))
}

fn show(element: &Object) -> String {
    let fields: Vec<String> =
        element.iter().map(|(k, v)| format!("{k}:{}", v.to_string().trim_matches('"'))).collect();
    format!("map[{}]", fields.join(" "))
}

/// Orders the elements that `order` names as it says; the others (the server's own) keep their place relative to what
/// preceded them.
fn sort_by_order(items: &mut Vec<Value>, order: &[Value], key: Option<&str>) {
    let id = |item: &Value| -> Value {
        match key {
            Some(key) => item.get(key).cloned().unwrap_or_default(),
            None => item.clone(),
        }
    };
    let wanted: Vec<Value> = order.iter().map(&id).collect();
    let rank = |item: &Value| wanted.iter().position(|w| *w == id(item));
    let mut listed: Vec<(usize, Value)> = Vec::new();
    let mut others: Vec<(usize, Value)> = Vec::new();
    for (at, item) in std::mem::take(items).into_iter().enumerate() {
        match rank(&item) {
            Some(rank) => listed.push((rank, item)),
            None => others.push((at, item)),
        }
    }
    listed.sort_by_key(|(rank, _)| *rank);
    let mut listed = listed.into_iter().map(|(_, item)| item).peekable();
    let mut others = others.into_iter().peekable();
    while listed.peek().is_some() || others.peek().is_some() {
        let take_other = others.peek().is_some_and(|(at, _)| *at <= items.len()) || listed.peek().is_none();
        let next = if take_other { others.next().map(|(_, item)| item) } else { listed.next() };
        items.extend(next);
    }
}

/// A value without directives at any depth, for places where a patch becomes the value.
fn strip(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(without_directives(map)),
        Value::Array(items) => Value::Array(items.iter().map(strip).collect()),
        other => other.clone(),
    }
}

fn without_directives(map: &Object) -> Object {
    let kept = map.iter().filter(|(key, value)| {
        !(*key == DIRECTIVE
            || *key == RETAIN
            || key.starts_with(ORDER)
            || key.starts_with(DELETE)
            || value.is_null())
    });
    kept.map(|(key, value)| (key.clone(), strip(value))).collect()
}
