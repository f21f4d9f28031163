//! Reads one definition of `structure.txt`; the format is described in `schemas/generate.py`.

use serde_json::Value;

use super::builtin::{by_short_name, lengthen};
use super::node::{Definition, ListType, Property, Schema, Slot, Type};

/// Whether a line of a definition's body describes a property (and so has a description).
pub(super) fn is_property(line: &str) -> bool {
    !matches!(line.as_bytes().get(1), Some(b'#' | b'%' | b'&'))
}

pub(super) fn definition(slot: &Slot) -> Definition {
    let name = lengthen(slot.name);
    let mut definition = Definition {
        kinds: Vec::new(),
        properties: Vec::new(),
        scalar: None,
        atomic: false,
        unions: Vec::new(),
        preserve_unknown: false,
        line: Some(slot.line),
        name,
    };
    for line in slot.body.lines() {
        entry(&mut definition, line.get(1..).unwrap_or_default());
    }
    definition
}

fn entry(definition: &mut Definition, line: &str) {
    if let Some(gvk) = line.strip_prefix('#') {
        let mut parts = gvk.split('|').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        definition.kinds.push([next(), next(), next()]);
    } else if line == "%ma" {
        definition.atomic = true;
    } else if let Some(letter) = line.strip_prefix('%') {
        definition.scalar = Some(match definition.short_name() {
            "MicroTime" => Type::MicroTime,
            _ => type_of(letter),
        });
    } else if let Some(union) = line.strip_prefix('&') {
        definition.unions.extend(serde_json::from_str::<Value>(union));
    } else {
        definition.properties.push(property(line));
    }
}

fn property(line: &str) -> Property {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let mut schema = Schema::of(type_of(words.next().unwrap_or("*")));
    let mut required = false;
    for word in words {
        match word {
            "!" => required = true,
            "la" => schema.list_type = Some(ListType::Atomic),
            "ls" => schema.list_type = Some(ListType::Set),
            "ma" => schema.atomic = true,
            _ => flag(&mut schema, word),
        }
    }
    Property { name, required, schema }
}

fn flag(schema: &mut Schema, word: &str) {
    if let Some(default) = word.strip_prefix('=') {
        schema.default = serde_json::from_str(default).ok();
    } else if let Some(keys) = word.strip_prefix("lm:") {
        schema.list_type = Some(ListType::Map(keys.split(',').map(str::to_owned).collect()));
    } else if let Some(key) = word.strip_prefix("k:") {
        schema.merge_key = Some(key.to_owned());
    } else if let Some(strategies) = word.strip_prefix("p:") {
        for strategy in strategies.split(',') {
            schema.patch.merge |= strategy == "merge";
            schema.patch.retain_keys |= strategy == "retainKeys";
            schema.patch.replace |= strategy == "replace";
        }
    }
}

fn type_of(text: &str) -> Type {
    if let Some(item) = text.strip_prefix('[') {
        return Type::List(Box::new(Schema::of(type_of(item))));
    }
    if let Some(item) = text.strip_prefix('{') {
        return Type::Map(Box::new(Schema::of(type_of(item))));
    }
    if let Some(name) = text.strip_prefix('@') {
        return by_short_name(name).map_or(Type::Any, reference);
    }
    match text {
        "s" => Type::String,
        "y" => Type::Bytes,
        "t" => Type::Time,
        "b" => Type::Bool,
        "i" => Type::Int32,
        "l" | "n" => Type::Int64,
        "d" | "f" => Type::Number,
        "q" => Type::Quantity,
        "x" => Type::IntOrString,
        "o" => Type::Object,
        _ => Type::Any,
    }
}

fn reference(target: super::SchemaRef) -> Type {
    Type::Struct(target)
}
