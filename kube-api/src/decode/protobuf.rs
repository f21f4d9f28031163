//! Kubernetes' protobuf encoding to values: what stock clients send for built-in kinds unless told otherwise.
//!
//! An envelope names version and kind; the message inside is read by two tables: the schema says of which type a field is,
//! `schemas/protobuf.txt` which number it has. Fields that neither knows are dropped, as a server of that version would.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{DecodeError, Decoded};
use crate::schema::{Definition, SchemaRef, Type, builtin_definitions};

const MAGIC: &[u8] = b"k8s\0";
/// The deepest nesting.
const MAX_DEPTH: usize = 128;

/// Message name to its fields.
static FIELDS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    include_str!("../../schemas/protobuf.txt").lines().filter_map(|line| line.split_once(' ')).collect()
});

static BY_KIND: LazyLock<HashMap<[String; 3], SchemaRef>> = LazyLock::new(|| {
    let kinds = |definition: SchemaRef| {
        let kinds = definition.kinds.clone();
        kinds.into_iter().map(move |kind| (kind, definition.clone()))
    };
    builtin_definitions().flat_map(kinds).collect()
});

type Result<T> = std::result::Result<T, DecodeError>;

fn malformed() -> DecodeError {
    DecodeError::Json("the protobuf body is malformed".to_owned())
}

pub(super) fn decode(body: &[u8]) -> Result<Decoded> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), [].as_slice());
    for field in Reader(envelope) {
        match field? {
            (1, Wire::Bytes(names)) => {
                for field in Reader(names) {
                    match field? {
                        (1, Wire::Bytes(text)) => version = string(text)?,
                        (2, Wire::Bytes(text)) => kind = string(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, short) = version.split_once('/').unwrap_or(("", &version));
    let definition = BY_KIND.get(&[group.to_owned(), short.to_owned(), kind.clone()]).ok_or_else(|| {
        DecodeError::Json(format!("no kind {kind:?} is registered for version {version:?}"))
    })?;
    let mut map = Map::new();
    message(definition, message_name(definition), raw, &mut map, 0)?;
    map.insert("apiVersion".to_owned(), version.into());
    map.insert("kind".to_owned(), kind.into());
    Ok(Decoded { value: Value::Object(map), duplicates: Vec::new() })
}

fn message_name(definition: &Definition) -> &str {
    let name = definition.name.as_str();
    let api = name.strip_prefix("io.k8s.api.");
    api.or_else(|| name.strip_prefix("io.k8s.apimachinery.pkg.apis.")).unwrap_or(name)
}

fn message(
    definition: &Definition,
    name: &str,
    bytes: &[u8],
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(malformed());
    }
    let fields = FIELDS.get(name).copied().unwrap_or_default();
    for field in Reader(bytes) {
        let (number, wire) = field?;
        let entry = fields.split(' ').find_map(|word| {
            let at = word.find(['*', ':', '>'])?;
            (word.get(..at)?.parse() == Ok(number)).then(|| word.split_at(at))
        });
        let Some((_, entry)) = entry else { continue };
        let (mark, field) = entry.split_at(1);
        match (mark, &wire) {
            (">", Wire::Bytes(inner)) => message(definition, field, inner, out, depth + 1)?,
            _ => {
                let Some(property) = definition.property(field) else { continue };
                add(&property.schema.ty, field, &wire, mark == "*", out, depth)?;
            }
        }
    }
    Ok(())
}

fn add(
    ty: &Type,
    name: &str,
    wire: &Wire<'_>,
    keep: bool,
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<()> {
    match ty {
        Type::List(item) => {
            let list = out.entry(name).or_insert_with(|| json!([]));
            let item = value(&item.ty, wire, depth)?;
            list.as_array_mut().ok_or_else(malformed)?.extend(item);
        }
        Type::Map(item) => {
            let Wire::Bytes(entry) = wire else { return Err(malformed()) };
            let (mut key, mut content) = (String::new(), None);
            for field in Reader(entry) {
                match field? {
                    (1, Wire::Bytes(text)) => key = string(text)?,
                    (2, wire) => content = Some(wire),
                    _ => {}
                }
            }
            let content = content.unwrap_or(Wire::Bytes(&[]));
            let item = map_value(&item.ty, &content, depth)?;
            let map = out.entry(name).or_insert_with(|| json!({}));
            map.as_object_mut().ok_or_else(malformed)?.insert(key, item);
        }
        _ => {
            let value = value(ty, wire, depth)?;
            if let Some(value) = value.filter(|v| keep || !is_zero(v)) {
                out.insert(name.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// Lists as values of maps are wrapped in a message of their own.
fn map_value(ty: &Type, wire: &Wire<'_>, depth: usize) -> Result<Value> {
    let (Type::List(item), Wire::Bytes(bytes)) = (ty, wire) else {
        return Ok(value(ty, wire, depth)?.unwrap_or_else(|| "".into()));
    };
    let mut list = Vec::new();
    for field in Reader(bytes) {
        list.extend(value(&item.ty, &field?.1, depth)?);
    }
    Ok(Value::Array(list))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// One value; `None` for a zero of a type that has no zero in JSON.
fn value(ty: &Type, wire: &Wire<'_>, depth: usize) -> Result<Option<Value>> {
    Ok(Some(match (ty, wire) {
        (Type::String, Wire::Bytes(bytes)) => string(bytes)?.into(),
        (Type::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Type::Bool, Wire::Number(number)) => (*number != 0).into(),
        (Type::Int32 | Type::Int64, Wire::Number(number)) => number.cast_signed().into(),
        (Type::Number, Wire::Fixed(bits)) => json!(f64::from_bits(*bits)),
        (Type::Time | Type::MicroTime, Wire::Bytes(bytes)) => {
            return time(matches!(ty, Type::MicroTime), bytes);
        }
        (Type::Quantity, Wire::Bytes(bytes)) => first_text(bytes)?.into(),
        (Type::IntOrString, Wire::Bytes(bytes)) => return int_or_string(bytes),
        (Type::Object | Type::Any, Wire::Bytes(bytes)) => return raw(bytes),
        (Type::Struct(definition), wire) => match &definition.scalar {
            Some(scalar) => return value(scalar, wire, depth),
            None => {
                let Wire::Bytes(bytes) = wire else { return Err(malformed()) };
                let mut map = Map::new();
                message(definition, message_name(definition), bytes, &mut map, depth + 1)?;
                Value::Object(map)
            }
        },
        _ => return Err(malformed()),
    }))
}

fn first_text(bytes: &[u8]) -> Result<String> {
    for field in Reader(bytes) {
        if let (1, Wire::Bytes(text)) = field? {
            return string(text);
        }
    }
    Ok(String::new())
}

fn time(micro: bool, bytes: &[u8]) -> Result<Option<Value>> {
    let (mut seconds, mut nanos) = (None, 0);
    for field in Reader(bytes) {
        match field? {
            (1, Wire::Number(number)) => seconds = Some(number.cast_signed()),
            (2, Wire::Number(number)) => nanos = i32::try_from(number).unwrap_or(0),
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(None) };
    let time = Timestamp::new(seconds, nanos).map_err(|_| malformed())?;
    let text = if micro { format!("{time:.6}") } else { format!("{time:.0}") };
    // Go writes the zero time, year 1, for "not set".
    Ok((seconds > -62_135_596_800).then(|| text.into()))
}

fn int_or_string(bytes: &[u8]) -> Result<Option<Value>> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Reader(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = string(value)?,
            _ => {}
        }
    }
    Ok(Some(if is_text { text.into() } else { number.into() }))
}

/// JSON within protobuf.
fn raw(bytes: &[u8]) -> Result<Option<Value>> {
    for field in Reader(bytes) {
        if let (1, Wire::Bytes(json)) = field?
            && !json.is_empty()
        {
            return super::json::decode(json).map(|decoded| Some(decoded.value));
        }
    }
    Ok(None)
}

fn string(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed())
}

/// A field's payload.
#[derive(Debug, Clone, Copy)]
enum Wire<'b> {
    Number(u64),
    Fixed(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message one after another.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(first & 0x7f).checked_shl(shift)?;
            if first & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Wire<'b>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Fixed(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(u32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

impl<'b> Iterator for Reader<'b> {
    type Item = Result<(u64, Wire<'b>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(malformed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[number << 3 | 2, length], content].concat()
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let names = [bytes(1, version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC, &bytes(1, &names), &bytes(2, raw)].concat()
    }

    #[test]
    fn a_message_reads_like_the_json_of_the_same_object() {
        // A name, an empty generateName, a label; replicas that are 0 on purpose, minReadySeconds that are only not set.
        let label = bytes(11, &[bytes(1, b"k"), bytes(2, b"v")].concat());
        let metadata = bytes(1, &[bytes(1, b"a"), bytes(2, b""), label].concat());
        let spec = bytes(2, &[0x08, 0x00, 0x28, 0x00]);
        let body = envelope("apps/v1", "Deployment", &[metadata, spec].concat());
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"replicas": 0},
        });
        assert_eq!(decode(&body).unwrap().value, expected);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for body in [
            b"".as_slice(),
            b"k8s\0\xff",
            b"{}",
            &envelope("v1", "Nothing", b""),
            &envelope("v1", "Pod", b"\x0a\x7f"),
        ] {
            assert!(decode(body).is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&envelope("v1", "Pod", &raw));
        }
    }
}
