//! Brings a decoded value into the shape of its definition.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::node::{Definition, Property, Schema, Type};
use crate::quantity::Quantity;

/// What to do about fields nobody knows and keys that occur twice (the `fieldValidation` parameter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and warn.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// The value of the query parameter; empty means `Warn`. `None`: not a valid value.
    pub fn from_parameter(text: &str) -> Option<Self> {
        match text {
            "" | "Warn" => Some(Self::Warn),
            "Ignore" => Some(Self::Ignore),
            "Strict" => Some(Self::Strict),
            _ => None,
        }
    }
}

/// A value that does not fit its schema. The caller answers 400 BadRequest; [`CheckError::for_kind`] is the whole message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A value of the wrong type, as Go's decoder words it.
    #[error("{0}")]
    Type(String),
    /// Unknown and duplicate fields under [`FieldValidation::Strict`].
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

impl CheckError {
    /// The message a client gets: `Pod in version "v1" cannot be handled as a Pod: …`.
    pub fn for_kind(&self, kind: &str, version: &str) -> String {
        format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {self}")
    }
}

impl Definition {
    /// Checks types, drops nulls and unknown fields, and writes quantities and times in canonical form. Returns warnings:
    /// one per unknown field and per duplicate (the paths found while decoding) unless `Ignore` was asked for.
    ///
    /// # Errors
    /// [`CheckError::Type`] for the first value of a wrong type, otherwise [`CheckError::Strict`] when `Strict` was asked for
    /// and there is something to complain about.
    pub fn check(
        &self,
        value: &mut Value,
        duplicates: &[String],
        validation: FieldValidation,
    ) -> Result<Vec<String>, CheckError> {
        let mut walk = Walk { unknown: Vec::new(), path: String::new(), fields: Vec::new() };
        walk.definition(self, value, None)?;
        let unknown = walk.unknown.iter().map(|path| format!("unknown field \"{path}\""));
        let duplicate = duplicates.iter().map(|path| format!("duplicate field \"{path}\""));
        let found: Vec<String> = unknown.chain(duplicate).collect();
        match validation {
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Strict if !found.is_empty() => Err(CheckError::Strict(found)),
            _ => Ok(found),
        }
    }
}

/// Where the walk is: the path as strict errors write it, the field names as Go's type errors write them.
struct Walk<'s> {
    unknown: Vec<String>,
    path: String,
    fields: Vec<&'s str>,
}

/// More unknown fields than this are not collected.
const MAX_UNKNOWN: usize = 100;

type Checked = Result<(), CheckError>;

impl<'s> Walk<'s> {
    /// `owner` is the structure whose field this is.
    fn definition(&mut self, definition: &'s Definition, value: &mut Value, owner: Option<&str>) -> Checked {
        if let Some(scalar) = &definition.scalar {
            return self.of_type(scalar, value, owner);
        }
        let Value::Object(map) = value else {
            return Err(self.mismatch(value, owner, &definition.go_type()));
        };
        map.retain(|_, v| !v.is_null());
        let mut unknown = Vec::new();
        for (name, value) in map.iter_mut() {
            match definition.property(name) {
                Some(property) => self.field(property, value, definition.short_name())?,
                None if definition.preserve_unknown => {}
                None => unknown.push(name.clone()),
            }
        }
        for name in unknown {
            map.remove(&name);
            self.note_unknown(&name);
        }
        Ok(())
    }

    fn field(&mut self, property: &'s Property, value: &mut Value, owner: &str) -> Checked {
        let length = self.path.len();
        self.push(&property.name);
        self.fields.push(&property.name);
        let checked = self.of_type(&property.schema.ty, value, Some(owner));
        self.fields.pop();
        self.path.truncate(length);
        checked
    }

    fn push(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    fn note_unknown(&mut self, name: &str) {
        if self.unknown.len() < MAX_UNKNOWN {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.unknown.push(format!("{}{dot}{name}", self.path));
        }
    }

    fn of_type(&mut self, ty: &'s Type, value: &mut Value, owner: Option<&str>) -> Checked {
        match ty {
            Type::Struct(definition) => self.definition(definition.get(), value, owner),
            Type::List(item) => self.list(item, value, owner),
            Type::Map(item) => self.map(item, value, owner),
            Type::Any => Ok(()),
            Type::Quantity => canonical_quantity(value),
            Type::Time | Type::MicroTime => canonical_time(value, matches!(ty, Type::MicroTime)),
            Type::Bytes => match value {
                Value::String(text) => check_base64(text),
                _ => Err(self.mismatch(value, owner, "[]uint8")),
            },
            _ if scalar_fits(ty, value) => Ok(()),
            _ => Err(self.mismatch(value, owner, &go_type(ty))),
        }
    }

    fn list(&mut self, item: &'s Schema, value: &mut Value, owner: Option<&str>) -> Checked {
        let Value::Array(items) = value else {
            return Err(self.mismatch(value, owner, &format!("[]{}", go_type(&item.ty))));
        };
        let length = self.path.len();
        for (i, value) in items.iter_mut().enumerate() {
            // Writing into a text does not fail.
            _ = write!(self.path, "[{i}]");
            fill_null(&item.ty, value);
            self.of_type(&item.ty, value, owner)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn map(&mut self, item: &'s Schema, value: &mut Value, owner: Option<&str>) -> Checked {
        let Value::Object(map) = value else {
            return Err(self.mismatch(value, owner, &format!("map[string]{}", go_type(&item.ty))));
        };
        let length = self.path.len();
        for (key, value) in map.iter_mut() {
            self.push(key);
            fill_null(&item.ty, value);
            self.of_type(&item.ty, value, owner)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn mismatch(&self, value: &Value, owner: Option<&str>, wanted: &str) -> CheckError {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(n) if wanted.starts_with("int") => format!("number {n}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        CheckError::Type(match owner {
            Some(owner) if !self.fields.is_empty() => format!(
                "json: cannot unmarshal {found} into Go struct field {owner}.{} of type {wanted}",
                self.fields.join(".")
            ),
            _ => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
        })
    }
}

fn scalar_fits(ty: &Type, value: &Value) -> bool {
    match ty {
        Type::String => value.is_string(),
        Type::Bool => value.is_boolean(),
        Type::Int32 => fits_i32(value),
        Type::Int64 => value.as_i64().is_some(),
        Type::Number => value.is_number(),
        Type::IntOrString => value.is_string() || fits_i32(value),
        Type::Object => value.is_object(),
        _ => true,
    }
}

fn fits_i32(value: &Value) -> bool {
    value.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
}

/// Go leaves the zero value where a list element or map value is null.
fn fill_null(ty: &Type, value: &mut Value) {
    if !value.is_null() {
        return;
    }
    *value = match ty {
        Type::String | Type::Bytes => "".into(),
        Type::Bool => false.into(),
        Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => 0.into(),
        Type::Quantity => "0".into(),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Struct(definition) => match &definition.scalar {
            Some(scalar) => return fill_null(scalar, value),
            None => Value::Object(Map::new()),
        },
        Type::Object | Type::Map(_) => Value::Object(Map::new()),
        Type::Any | Type::Time | Type::MicroTime => return,
    };
}

fn go_type(ty: &Type) -> String {
    match ty {
        Type::String => "string".to_owned(),
        Type::Bytes => "[]uint8".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Int32 | Type::IntOrString => "int32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Number => "float64".to_owned(),
        Type::Quantity => "resource.Quantity".to_owned(),
        Type::Time => "v1.Time".to_owned(),
        Type::MicroTime => "v1.MicroTime".to_owned(),
        Type::Object => "map[string]interface {}".to_owned(),
        Type::Any => "interface {}".to_owned(),
        Type::List(item) => format!("[]{}", go_type(&item.ty)),
        Type::Map(item) => format!("map[string]{}", go_type(&item.ty)),
        Type::Struct(definition) => definition.go_type(),
    }
}

fn canonical_quantity(value: &mut Value) -> Checked {
    let text = match value {
        Value::String(text) => std::mem::take(text),
        Value::Null => "0".to_owned(),
        ref other => other.to_string(),
    };
    let quantity: Quantity = text.trim().parse().map_err(|e| CheckError::Type(format!("{e}")))?;
    *value = Value::String(quantity.to_string());
    Ok(())
}

fn canonical_time(value: &mut Value, micro: bool) -> Checked {
    let Value::String(text) = value else {
        if value.is_null() {
            return Ok(());
        }
        let wanted = "json: cannot unmarshal value into Go value of type string";
        return Err(CheckError::Type(wanted.to_owned()));
    };
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let time: Timestamp = text.parse().map_err(|_| {
        CheckError::Type(format!(
            "parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\""
        ))
    })?;
    let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    *text = time.strftime(format).to_string();
    Ok(())
}

fn check_base64(text: &str) -> Checked {
    match STANDARD.decode(text) {
        Ok(_) => Ok(()),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len(),
            };
            Err(CheckError::Type(format!("illegal base64 data at input byte {at}")))
        }
    }
}
