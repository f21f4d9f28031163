//! Definitions as OpenAPI schemas.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::flavor::Flavor;
use crate::schema::{self, Definition, ListType, Property, Schema, SchemaRef, Type, description};

/// These definitions and everything they refer to, by name.
pub(super) fn closure(flavor: Flavor, roots: impl IntoIterator<Item = SchemaRef>) -> Map<String, Value> {
    let mut found: BTreeMap<String, SchemaRef> = BTreeMap::new();
    let mut open: Vec<SchemaRef> = roots.into_iter().collect();
    while let Some(definition) = open.pop() {
        if found.contains_key(&definition.name) {
            continue;
        }
        open.extend(definition.properties.iter().filter_map(|p| reference(&p.schema.ty)).cloned());
        found.insert(definition.name.clone(), definition);
    }
    found.into_iter().map(|(name, definition)| (name, schema_of(flavor, &definition))).collect()
}

/// The definition of an object of `meta.k8s.io`.
pub(super) fn meta(name: &str) -> Option<SchemaRef> {
    schema::builtin(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"))
}

fn reference(ty: &Type) -> Option<&SchemaRef> {
    match ty {
        Type::Struct(definition) => Some(definition),
        Type::List(item) | Type::Map(item) => reference(&item.ty),
        _ => None,
    }
}

fn schema_of(flavor: Flavor, definition: &Definition) -> Value {
    let mut value = match &definition.scalar {
        Some(scalar) => scalar_of(flavor, scalar),
        None => json!({"type": "object"}),
    };
    if let Some(text) = definition.line.and_then(description) {
        value["description"] = text.into();
    }
    if !definition.properties.is_empty() {
        properties(flavor, definition, &mut value);
    }
    if definition.preserve_unknown {
        value["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    if definition.atomic {
        value["x-kubernetes-map-type"] = "atomic".into();
    }
    if !definition.unions.is_empty() {
        value["x-kubernetes-unions"] = json!(definition.unions);
    }
    if !definition.kinds.is_empty() {
        let kinds = definition.kinds.iter().map(|[g, v, k]| json!({"group": g, "version": v, "kind": k}));
        value["x-kubernetes-group-version-kind"] = kinds.collect();
    }
    value
}

fn properties(flavor: Flavor, definition: &Definition, value: &mut Value) {
    let property = |(i, property): (usize, &Property)| {
        let text = definition.line.and_then(|line| description(line + 1 + i));
        (property.name.clone(), property_of(flavor, &property.schema, text))
    };
    value["properties"] =
        definition.properties.iter().enumerate().map(property).collect::<Map<_, _>>().into();
    let required: Vec<&str> =
        definition.properties.iter().filter(|p| p.required).map(|p| p.name.as_str()).collect();
    if !required.is_empty() {
        value["required"] = json!(required);
    }
}

fn scalar_of(flavor: Flavor, ty: &Type) -> Value {
    match (ty, flavor) {
        (Type::Quantity, Flavor::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Type::IntOrString, Flavor::V3) => {
            json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
        }
        (Type::IntOrString, Flavor::V2) => json!({"type": "string", "format": "int-or-string"}),
        _ => type_of(flavor, ty),
    }
}

fn type_of(flavor: Flavor, ty: &Type) -> Value {
    match ty {
        Type::String | Type::Quantity | Type::IntOrString => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Time | Type::MicroTime => json!({"type": "string", "format": "date-time"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Number => json!({"type": "number", "format": "double"}),
        Type::Object => json!({"type": "object"}),
        Type::Any => json!({}),
        Type::List(item) => json!({"type": "array", "items": item_of(flavor, &item.ty)}),
        Type::Map(item) => json!({"type": "object", "additionalProperties": item_of(flavor, &item.ty)}),
        Type::Struct(definition) => flavor.reference(&definition.name),
    }
}

/// Elements carry the zero value as their default, and references that have a default hide in `allOf`.
fn item_of(flavor: Flavor, ty: &Type) -> Value {
    let mut value = type_of(flavor, ty);
    if flavor == Flavor::V2 {
        return value;
    }
    match ty {
        Type::String => value["default"] = "".into(),
        Type::Int32 | Type::Int64 => value["default"] = 0.into(),
        Type::Struct(definition) if definition.scalar.is_none() => {
            value = json!({"allOf": [value], "default": {}});
        }
        _ => {}
    }
    value
}

fn property_of(flavor: Flavor, schema: &Schema, text: Option<&str>) -> Value {
    let mut value = type_of(flavor, &schema.ty);
    let is_reference = matches!(schema.ty, Type::Struct(_));
    if is_reference && flavor == Flavor::V3 && (text.is_some() || schema.default.is_some()) {
        value = json!({"allOf": [value]});
    }
    if let Some(text) = text {
        value["description"] = text.into();
    }
    if let (Some(default), Flavor::V3) = (&schema.default, flavor) {
        value["default"] = default.clone();
    }
    extensions(&mut value, schema);
    value
}

fn extensions(value: &mut Value, schema: &Schema) {
    match &schema.list_type {
        Some(ListType::Atomic) => value["x-kubernetes-list-type"] = "atomic".into(),
        Some(ListType::Set) => value["x-kubernetes-list-type"] = "set".into(),
        Some(ListType::Map(keys)) => {
            value["x-kubernetes-list-type"] = "map".into();
            value["x-kubernetes-list-map-keys"] = json!(keys);
        }
        None => {}
    }
    if schema.atomic {
        value["x-kubernetes-map-type"] = "atomic".into();
    }
    let patch = schema.patch;
    let strategies = [(patch.merge, "merge"), (patch.retain_keys, "retainKeys"), (patch.replace, "replace")];
    let named: Vec<&str> = strategies.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    if !named.is_empty() {
        value["x-kubernetes-patch-strategy"] = named.join(",").into();
    }
    if let Some(key) = &schema.merge_key {
        value["x-kubernetes-patch-merge-key"] = key.as_str().into();
    }
}
